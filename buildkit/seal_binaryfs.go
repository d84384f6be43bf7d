package buildkit

import (
	"errors"
	"fmt"
	"path"
	"strconv"

	"github.com/moby/buildkit/client/llb"
)

// Program is a program that becomes an enclave, and how it is signed. Its
// settings are part of what the enclave measures, so they are given in full.
type Program struct {
	Path   string // of the file itself, not of a link to it
	Heap   uint64 // bytes
	Stack  uint64 // bytes
	Dlopen int    // 0: no libraries at run time, 1: protected ones, 2: any
	// Mprotect lets the program change the protection of pages.
	Mprotect bool
	// Key is the production key, an RSA-3072 private key with exponent 3 in
	// PEM. Without one the toolchain signs a debug enclave with its own.
	Key []byte
	// ProductID and SecurityVersion go into the signature (ISVPRODID, ISVSVN).
	ProductID, SecurityVersion uint16
}

func (p Program) validate() error {
	var problems []error
	if !path.IsAbs(p.Path) || path.Clean(p.Path) != p.Path {
		problems = append(problems, fmt.Errorf("checking program %q: want an absolute path", p.Path))
	}
	if p.Heap == 0 || p.Stack == 0 {
		problems = append(problems, errors.New("checking program: heap and stack must be above 0"))
	}
	if p.Dlopen < 0 || p.Dlopen > 2 {
		problems = append(problems, fmt.Errorf("checking program: dlopen %d, want 0, 1 or 2", p.Dlopen))
	}
	return errors.Join(problems...)
}

const (
	keySecret = "enclave-key"
	keyPath   = "/run/secrets/" + keySecret
)

func (p Program) secrets() map[string][]byte {
	if len(p.Key) == 0 {
		return nil
	}
	return map[string][]byte{keySecret: p.Key}
}

// signArgs are those of scone-signer.
func (p Program) signArgs() []string {
	args := []string{
		"scone-signer", "sign", "--sconify", "--heap", size(p.Heap), "--stack", size(p.Stack), "--dlopen", strconv.Itoa(p.Dlopen),
		"--mprotect", flag(p.Mprotect), "--extensions", LibraryPath,
		"--isvprodid", strconv.Itoa(int(p.ProductID)), "--isvsvn", strconv.Itoa(int(p.SecurityVersion)),
	}
	if len(p.Key) > 0 {
		args = append(args, "--key", keyPath, "--production")
	}
	return append(args, p.Path)
}

// environment is what the enclave's runtime reads: the values that were signed.
func (p Program) environment() []string {
	return []string{
		"SCONE_HEAP=" + size(p.Heap), "SCONE_STACK=" + size(p.Stack), "SCONE_ALLOW_DLOPEN=" + strconv.Itoa(p.Dlopen),
		"SCONE_MPROTECT=" + flag(p.Mprotect), "SCONE_EXTENSIONS_PATH=" + LibraryPath,
	}
}

// size writes a number of bytes in the largest unit that divides it.
func size(n uint64) string {
	for _, unit := range []struct {
		shift uint
		name  string
	}{{30, "G"}, {20, "M"}, {10, "K"}} {
		if n != 0 && n%(1<<unit.shift) == 0 {
			return strconv.FormatUint(n>>unit.shift, 10) + unit.name
		}
	}
	return strconv.FormatUint(n, 10)
}

func flag(v bool) string {
	if v {
		return "1"
	}
	return "0"
}

// embed puts the regions into a library and signs the program for it, in three
// steps: the toolchain collects the files and links the library; a copy of the
// image, with the tools beside its own files, signs the program, since what is
// measured are the libraries that the program finds there; last, the signature
// is printed.
func (s Seal) embed(tools, target llb.State) llb.State {
	library := s.link(tools, s.collect(tools, target))
	workshop := workshop(tools, target, library)
	signed := workshop.Run(s.run("sign the program", s.Program.signArgs(), s.keyMount()...)...).Root()
	made := copyAll(llb.Scratch(), library, "/libbinary-fs.so", "/")
	made = copyAll(made, llb.Diff(workshop, signed), "/*", "/")
	return s.inspect(signed, made)
}

func (s Seal) collect(tools, target llb.State) llb.State {
	args := []string{"scone", "binary-fs", "/target", "/work", "-v", "--host-path=/etc/resolv.conf", "--host-path=/etc/hosts"}
	for _, region := range s.Regions {
		args = append(args, "--include", region+"/*")
	}
	return tools.Run(s.run("collect the regions", args, llb.AddMount("/target", target, llb.Readonly))...).AddMount("/work", llb.Scratch())
}

func (s Seal) link(tools, collected llb.State) llb.State {
	args := []string{"scone", "gcc", "/work/binary_fs_blob.s", "/work/libbinary_fs_template.a", "-shared", "-o", "/lib-out/libbinary-fs.so"}
	return tools.Run(s.run("link the library", args, llb.AddMount("/work", collected, llb.Readonly))...).AddMount("/lib-out", llb.Scratch())
}

// workshop is the image with the toolchain's files and the library added. The
// folders are patterns too, as a plain one that is missing is an error.
func workshop(tools, target, library llb.State) llb.State {
	shop := target.AddEnv("PATH", "/opt/scone/bin:/usr/local/bin:/usr/bin:/bin").AddEnv("SCONE_MODE", "auto")
	shop = copyAll(shop, tools, "/opt*/scone*", "/opt/")
	shop = copyAll(shop, tools, "/usr/local*/bin*/scone*", "/usr/local/bin/")
	return copyAll(shop, library, LibraryPath, "/")
}

func copyAll(to, from llb.State, pattern, dir string) llb.State {
	return to.File(llb.Copy(from, pattern, dir, &llb.CopyInfo{AllowWildcard: true, AllowEmptyWildcard: true, CreateDestPath: true}),
		llb.WithCustomName("seal: copy "+pattern))
}

func (s Seal) keyMount() []llb.RunOption {
	if len(s.Program.Key) == 0 {
		return nil
	}
	return []llb.RunOption{llb.AddSecret(keyPath, llb.SecretID(keySecret))}
}

// inspect prints the signature, and passes the seal's files on. It always runs,
// as what it prints is compared with what the image measures to.
func (s Seal) inspect(signed, made llb.State) llb.State {
	args := []string{"scone-signer", "info", s.Program.Path}
	return signed.Run(s.run("inspect the signature", args, llb.IgnoreCache)...).AddMount("/seal", made)
}
