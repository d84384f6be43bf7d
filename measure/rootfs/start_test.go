package rootfs

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// root makes a file system of programs, and of other files by what is in them.
func root(files map[string][]byte) fs.FS {
	made := fstest.MapFS{}
	for name, data := range files {
		made[name] = &fstest.MapFile{Data: data, Mode: 0o755}
	}
	return made
}

// invalid is a file system in which some paths are no files.
type invalid struct {
	fs.FS
	paths []string
}

func (i invalid) Open(name string) (fs.File, error) {
	if slices.Contains(i.paths, name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return i.FS.Open(name)
}

// What is no file where one is needed is the image's fault, and no failure.
func TestAttackWhatIsNoFile(t *testing.T) {
	static := program("", "")
	for _, path := range []string{"bin/app", "lib/ld.so", "usr/lib/libc.so", "etc/ld.so.cache", "etc/ld.so.preload", "etc/ld-musl-x86_64.path"} {
		files := root(map[string][]byte{"bin/app": program("/lib/ld.so", "/own", "libc.so"), "lib/ld.so": static, "usr/lib/libc.so": static})
		_, err := Started(invalid{files, []string{path}}, "/bin/app", nil)
		var problem *StartError
		if !errors.As(err, &problem) {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err := Find(invalid{root(nil), []string{"bin/app"}}, v1.Config{Entrypoint: []string{"/bin/app"}})
	var problem *StartError
	if !errors.As(err, &problem) {
		t.Error(err)
	}
}

func TestFind(t *testing.T) {
	files := fstest.MapFS{
		"usr/bin/python3": {Mode: 0o755}, "opt/python3": {Mode: 0o644}, "app/run": {Mode: 0o755}, "usr/bin/dir/x": {Mode: 0o755},
	}
	for name, c := range map[string]struct {
		config v1.Config
		want   string
	}{
		"on the path":        {v1.Config{Entrypoint: []string{"python3", "x"}, Env: []string{"PATH=/opt:/usr/bin"}}, "/usr/bin/python3"},
		"by CMD":             {v1.Config{Cmd: []string{"/usr/bin/python3"}}, "/usr/bin/python3"},
		"in the working dir": {v1.Config{Entrypoint: []string{"./run"}, WorkingDir: "/app"}, "/app/run"},
		"without a path":     {v1.Config{Entrypoint: []string{"python3"}}, ""},
		"not to be executed": {v1.Config{Entrypoint: []string{"/opt/python3"}}, ""},
		"a folder":           {v1.Config{Entrypoint: []string{"dir"}, Env: []string{"PATH=/usr/bin"}}, ""},
		"nothing":            {v1.Config{}, ""},
	} {
		got, err := Find(files, c.config)
		var problem *StartError
		if got != c.want || (c.want == "") != errors.As(err, &problem) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestStarted(t *testing.T) {
	static := program("", "")
	plain := func(more map[string][]byte) map[string][]byte {
		files := map[string][]byte{
			"bin/app": program("/lib/ld.so", "$ORIGIN/../own", "libc.so", "libown.so"), "lib/ld.so": static, "usr/lib/libc.so": static, "own/libown.so": static,
		}
		for name, data := range more {
			files[name] = data
		}
		return files
	}
	for name, c := range map[string]struct {
		files   map[string][]byte
		env     []string
		want    string // one of what is loaded
		problem string // why it cannot be told
	}{
		"as it is":                   {plain(nil), nil, "", ""},
		"in two places":              {plain(map[string][]byte{"usr/local/lib/libc.so": static}), nil, "/usr/local/lib/libc.so", ""},
		"in a folder of the user":    {plain(map[string][]byte{"app/libc.so": static}), []string{"LD_LIBRARY_PATH=/app"}, "/app/libc.so", ""},
		"preloaded":                  {plain(map[string][]byte{"app/evil.so": static}), []string{"LD_PRELOAD=/app/evil.so"}, "/app/evil.so", ""},
		"preloaded by a file":        {plain(map[string][]byte{"app/evil.so": static, "etc/ld.so.preload": []byte("/app/evil.so\n")}), nil, "/app/evil.so", ""},
		"in the cache":               {plain(map[string][]byte{"opt/libc.so": static, "etc/ld.so.cache": []byte("glibc\x00libc.so\x00/opt/libc.so\x00")}), nil, "/opt/libc.so", ""},
		"in musl's folders":          {plain(map[string][]byte{"opt/libc.so": static, "etc/ld-musl-x86_64.path": []byte("/opt\n/lib")}), nil, "/opt/libc.so", ""},
		"in the working directory":   {plain(nil), []string{"LD_LIBRARY_PATH=/lib:"}, "", "has an empty part"},
		"in a folder by its name":    {plain(nil), []string{"LD_LIBRARY_PATH=lib"}, "", "a folder that is not known"},
		"for the processor":          {plain(map[string][]byte{"usr/lib/glibc-hwcaps/x86-64-v3/libc.so": static}), nil, "", "depends on the processor"},
		"another variable":           {plain(nil), []string{"LD_ORIGIN_PATH=/app"}, "", "LD_ORIGIN_PATH is set"},
		"a library that is missing":  {map[string][]byte{"bin/app": program("/lib/ld.so", "/own", "libx.so"), "lib/ld.so": static}, nil, "", "needs libx.so"},
		"an interpreter that is not": {map[string][]byte{"bin/app": program("/lib/ld.so", "")}, nil, "", "/lib/ld.so is needed and not there"},
		"a script":                   {map[string][]byte{"bin/app": []byte("#!/bin/sh\n")}, nil, "", "is a script"},
		"a text":                     {map[string][]byte{"bin/app": []byte("text")}, nil, "", "is no program"},
		"by itself":                  {map[string][]byte{"bin/app": []byte("\x7fELF\x02\x01\x01")}, []string{"LD_PRELOAD=/x"}, "/bin/app", ""},
	} {
		got, err := Started(root(c.files), "/bin/app", c.env)
		var problem *StartError
		if c.problem != "" {
			if !errors.As(err, &problem) || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%s: %v, want %q", name, err, c.problem)
			}
			continue
		}
		if err != nil || got[0] != "/bin/app" || c.want != "" && !slices.Contains(got, c.want) {
			t.Errorf("%s: %q, %v; want %q among them", name, got, err, c.want)
		}
		if dynamic := len(c.files) > 1; dynamic && !(slices.Contains(got, "/lib/ld.so") && slices.Contains(got, "/usr/lib/libc.so") && slices.Contains(got, "/own/libown.so") && slices.Contains(got, linkerPreload)) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
