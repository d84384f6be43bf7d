package enclave

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Settings are what a program is measured with, as SCONE's runtime reads them
// from the environment.
type Settings struct {
	Heap       uint64   // SCONE_HEAP; not measured when pages are added dynamically (EDMM)
	MinHeap    uint64   // SCONE_MIN_HEAP; measured with EDMM only
	Stack      uint64   // SCONE_STACK
	TCS        uint64   // SCONE_TCS: number of threads
	Dlopen     uint64   // SCONE_ALLOW_DLOPEN: 0, 1, 2
	Mprotect   bool     // SCONE_MPROTECT
	Fork       bool     // SCONE_FORK
	Syslibs    bool     // SCONE_SYSLIBS
	Extensions []string // SCONE_EXTENSIONS_PATH
	Preload    []string // LD_PRELOAD
	Folders    []string // LD_LIBRARY_PATH
}

// Defaults returns the settings that SCONE documents (page SCONE_ENV).
func Defaults() Settings {
	return Settings{Heap: 64 << 20, MinHeap: 20 << 20, Stack: 64 << 10, TCS: 8}
}

// ParseSettings reads the settings from an environment; what is not there is as
// in defaults. Its error names the variable.
func ParseSettings(defaults Settings, getenv func(string) string) (Settings, error) {
	s := defaults
	p := parser{getenv: getenv}
	p.size("SCONE_HEAP", &s.Heap)
	p.size("SCONE_MIN_HEAP", &s.MinHeap)
	p.size("SCONE_STACK", &s.Stack)
	p.number("SCONE_TCS", &s.TCS)
	p.level("SCONE_ALLOW_DLOPEN", &s.Dlopen)
	p.flag("SCONE_MPROTECT", &s.Mprotect)
	p.flag("SCONE_FORK", &s.Fork)
	p.flag("SCONE_SYSLIBS", &s.Syslibs)
	if v := getenv("SCONE_EXTENSIONS_PATH"); v != "" {
		s.Extensions = filepath.SplitList(v)
	}
	s.Preload = strings.FieldsFunc(getenv("LD_PRELOAD"), func(r rune) bool { return r == ':' || r == ' ' })
	s.Folders = filepath.SplitList(getenv("LD_LIBRARY_PATH"))
	return s, p.err
}

// parser reads variables and keeps the first error.
type parser struct {
	getenv func(string) string
	err    error
}

// read calls parse with the variable's value, when it is set.
func (p *parser) read(name string, parse func(string) error) {
	v := p.getenv(name)
	if v == "" || p.err != nil {
		return
	}
	if err := parse(v); err != nil {
		p.err = fmt.Errorf("reading %s=%q: %w", name, v, err)
	}
}

func (p *parser) number(name string, dst *uint64) {
	p.read(name, func(v string) (err error) {
		*dst, err = strconv.ParseUint(v, 10, 32)
		return err
	})
}

func (p *parser) size(name string, dst *uint64) {
	p.read(name, func(v string) (err error) {
		*dst, err = ParseSize(v)
		return err
	})
}

func (p *parser) flag(name string, dst *bool) {
	p.read(name, func(v string) (err error) {
		*dst, err = parseFlag(v)
		return err
	})
}

// level reads SCONE_ALLOW_DLOPEN: a flag, or 2 for libraries that are not
// protected either.
func (p *parser) level(name string, dst *uint64) {
	p.read(name, func(v string) error {
		if v == "2" {
			*dst = 2
			return nil
		}
		on, err := parseFlag(v)
		if err == nil && on {
			*dst = 1
		}
		return err
	})
}

func parseFlag(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "1", "yes", "true":
		return true, nil
	case "0", "no", "false":
		return false, nil
	}
	return false, fmt.Errorf("it is neither 0 nor 1")
}

// ParseSize reads a number of bytes: 1073741824, 1048576K, 1024M and 1G are the
// same.
func ParseSize(v string) (uint64, error) {
	digits, shift := v, 0
	for i, suffix := range []string{"K", "M", "G"} {
		if d, ok := strings.CutSuffix(strings.ToUpper(v), suffix); ok {
			digits, shift = d, 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n == 0 || n > 1<<46>>shift {
		return 0, fmt.Errorf("it is no size in bytes, or with K, M or G")
	}
	return n << shift, nil
}
