package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// File is the configuration's usual name.
const File = "mrelease.yaml"

// noFile is the one problem of a folder without a configuration, in which a command
// was most likely run by mistake. What the keys should say does not matter yet.
func noFile(lacking []string) Problem {
	p := Problem{
		Where: File, Text: "is not in this folder, and neither environment nor flags say " + strings.Join(lacking, ", "),
		Cure: "cd to the folder of your " + File + ", name it with --config, or write one with mrelease init",
	}
	if here, err := os.Getwd(); err == nil {
		p.Text = "is not in " + here + strings.TrimPrefix(p.Text, "is not in this folder")
	}
	if _, err := os.Stat(filepath.Join("..", File)); err == nil {
		p.Cure = "cd .. (there is a " + File + "), name a file with --config, or write one with mrelease init"
	}
	p.Cure += others(File, "mrelease.y*", "*mrelease*.yaml", "*mrelease*.yml")
	return p
}

// others names the files beside one that is not there that may be meant.
func others(path string, patterns ...string) string {
	var found []string
	for _, pattern := range patterns {
		names, _ := filepath.Glob(filepath.Join(filepath.Dir(path), pattern)) // no pattern is malformed
		for _, name := range names {
			if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && !strings.HasSuffix(name, ".dockerignore") {
				found = append(found, name)
			}
		}
	}
	if found == nil {
		return ""
	}
	slices.Sort(found)
	return "; there is " + strings.Join(slices.Compact(found), ", ")
}
