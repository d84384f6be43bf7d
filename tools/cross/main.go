// Command cross type-checks packages for other systems, with their tests: cheaper than
// compiling, since of what they import only the declarations are read.
//
//	cross [-tags TAGS] GOOS/GOARCH... -- PACKAGE...
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	tags := flag.String("tags", "", "build tags, separated by commas")
	flag.Parse()
	split := slices.Index(flag.Args(), "--")
	if split < 1 {
		fmt.Fprintln(os.Stderr, "usage: cross [-tags TAGS] GOOS/GOARCH... -- PACKAGE...")
		os.Exit(2)
	}
	failed := false
	for _, system := range flag.Args()[:split] {
		n, err := check(system, *tags, flag.Args()[split+1:])
		if err != nil {
			failed = true
			fmt.Fprintf(os.Stderr, "%s: %v\n", system, err)
			continue
		}
		fmt.Printf("%s: %d packages and tests\n", system, n)
	}
	if failed {
		os.Exit(1)
	}
}

// check type-checks packages for a system, and returns how many.
func check(system, tags string, patterns []string) (int, error) {
	goos, goarch, _ := strings.Cut(system, "/")
	config := &packages.Config{
		Mode:       packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps | packages.NeedTypes | packages.NeedTypesSizes | packages.NeedSyntax,
		Env:        append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0"),
		BuildFlags: []string{"-tags=" + tags},
		Tests:      true,
	}
	found, err := packages.Load(config, patterns...)
	if err != nil {
		return 0, err
	}
	var problems []string
	packages.Visit(found, nil, func(p *packages.Package) {
		for _, e := range p.Errors {
			if line := e.Error(); !slices.Contains(problems, line) { // a package and its tests have the same files
				problems = append(problems, line)
			}
		}
	})
	if len(problems) > 0 {
		return 0, fmt.Errorf("does not compile:\n%s", strings.Join(problems, "\n"))
	}
	return len(found), nil
}
