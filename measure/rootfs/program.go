package rootfs

import (
	"archive/tar"
	"maps"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Program returns the sorted paths of what an image starts with: its program,
// that program's interpreter, and the libraries that are loaded with them.
//
// Each program of the name counts, wherever it is, and not only the first on the
// search path: an enclave's starter takes the place of the program that it
// measures and runs, which it keeps elsewhere.
func (f *FS) Program(config v1.Config) []string {
	args := append(append([]string(nil), config.Entrypoint...), config.Cmd...)
	if len(args) == 0 {
		return nil
	}
	l := linker{fs: f, folders: variable(config.Env, "LD_LIBRARY_PATH"), loaded: map[string]bool{}}
	for _, file := range f.named(onPath(args[0], config)) {
		l.load(file)
	}
	for _, preloaded := range variable(config.Env, "LD_PRELOAD") {
		l.need(preloaded, nil)
	}
	return slices.Sorted(maps.Keys(l.loaded))
}

func variable(env []string, name string) []string {
	for _, v := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return strings.FieldsFunc(value, func(r rune) bool { return r == ':' })
		}
	}
	return nil
}

// onPath returns the places where a program of the name can be.
func onPath(name string, config v1.Config) []string {
	if path.IsAbs(name) {
		return []string{name}
	}
	if strings.Contains(name, "/") {
		return []string{path.Join("/", config.WorkingDir, name)}
	}
	var found []string
	for _, dir := range variable(config.Env, "PATH") {
		found = append(found, path.Join("/", dir, name))
	}
	return found
}

// named returns the programs that have the name of one of the files, or of a
// link on the way to it.
func (f *FS) named(files []string) []string {
	names := map[string]bool{}
	for _, file := range files {
		if f.resolve(file) == "" {
			continue
		}
		for linked, hops := true, 0; linked && hops <= maxLinks; hops++ {
			names[path.Base(file)] = true
			file, linked = f.follow(file)
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(f.Files)), func(file string) bool {
		return !names[path.Base(file)] || f.Files[file].Mode&0o111 == 0
	})
}

// linker follows what is loaded with a program.
type linker struct {
	fs      *FS
	folders []string // searched first
	loaded  map[string]bool
	byBase  map[string]string
}

// load adds a file, and what it needs, if it is there.
func (l *linker) load(name string) {
	name = l.fs.resolve(name)
	at, ok := l.fs.Files[name]
	if !ok || l.loaded[name] {
		return
	}
	file := at.content()
	if file.Type != tar.TypeReg {
		return
	}
	l.loaded[name] = true
	for _, word := range strings.Fields(strings.TrimPrefix(file.head, "#!")) {
		l.load(first(l.fs, word, []string{"/usr/local/bin", "/usr/bin", "/bin"}))
	}
	if file.needs == nil {
		return
	}
	if file.needs.interpreter != "" {
		l.load(file.needs.interpreter)
	}
	for _, library := range file.needs.libraries {
		l.need(library, runPath(file.needs.folders, path.Dir(name)))
	}
}

// need loads a library from the first folder that has it, in the order of the
// dynamic linker. Its cache names folders that are not known here, so a library
// that is in none of the usual ones is taken from wherever it is.
func (l *linker) need(name string, runPath []string) {
	folders := slices.Concat(l.folders, runPath, usualFolders())
	if file := first(l.fs, name, folders); file != "" {
		l.load(file)
		return
	}
	l.load(l.anywhere(name))
}

func usualFolders() []string {
	return []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"}
}

// runPath puts the file's own folder where its search path says so.
func runPath(lists []string, origin string) []string {
	var folders []string
	for _, list := range lists {
		list = strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(list)
		folders = append(folders, strings.Split(list, ":")...)
	}
	return folders
}

// first returns the first place where a file of the name is, or "".
func first(fs *FS, name string, folders []string) string {
	if strings.Contains(name, "/") {
		folders = []string{"/"}
	}
	for _, dir := range folders {
		if file := fs.resolve(path.Join("/", dir, name)); file != "" {
			return file
		}
	}
	return ""
}

func (l *linker) anywhere(name string) string {
	if l.byBase == nil {
		l.byBase = map[string]string{}
		for _, file := range slices.Sorted(maps.Keys(l.fs.Files)) {
			if base := path.Base(file); l.byBase[base] == "" {
				l.byBase[base] = file
			}
		}
	}
	return l.byBase[name]
}

// maxLinks is how many links Linux follows on the way to a file.
const maxLinks = 40

// resolve follows links to a file that is there; otherwise it returns "". A second
// name of a file is that file, where it still has its first name.
func (f *FS) resolve(name string) string {
	name = path.Clean("/" + name)
	for range maxLinks {
		target, linked := f.follow(name)
		if !linked {
			break
		}
		name = target
	}
	if file, ok := f.Files[name]; !ok || file.content().Type == tar.TypeSymlink {
		return ""
	}
	return name
}

// follow replaces the first link on the way to a file by what it points to.
func (f *FS) follow(name string) (target string, linked bool) {
	for end := 1; end <= len(name); end++ {
		if end < len(name) && name[end] != '/' {
			continue
		}
		at := name[:end]
		file, ok := f.Files[at]
		if !ok {
			continue
		}
		if content := file.content(); content.Type == tar.TypeSymlink {
			to := content.Link
			if !path.IsAbs(to) {
				to = path.Join(path.Dir(at), to)
			}
			return path.Join("/", to, name[end:]), true
		}
		if file.Type == tar.TypeLink && f.isFirst(file) {
			return path.Join("/", file.Link, name[end:]), true
		}
	}
	return name, false
}

// isFirst reports whether a hard link's first name still is a name of its file.
func (f *FS) isFirst(link File) bool {
	first, ok := f.Files[link.Link]
	return ok && first.Type == tar.TypeReg && first.Sum == link.inode.Sum
}
