package preflight

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// git looks at what the repository has that nobody should see, and at what another
// checkout of it may have otherwise.
func (i *inspection) git(ctx context.Context) string {
	if i.Refused("build.context") {
		return ""
	}
	if err := i.trackedKeys(ctx); err != nil {
		i.unreadable(err)
		return ""
	}
	found, err := i.source.Variations(ctx)
	i.unreadable(err)
	i.vary(found)
	return ""
}

// trackedKeys complains of keys that git tracks: those of the configuration, and what
// looks like one.
func (i *inspection) trackedKeys(ctx context.Context) error {
	var configured []string
	for _, file := range i.Settings.KeyFiles() {
		configured = append(configured, file.Path)
	}
	tracked, err := i.source.Tracked(ctx, configured)
	if err != nil {
		return err
	}
	for _, file := range tracked {
		i.complainOfKey(file, "this key")
	}
	all, err := i.source.TrackedFiles(ctx, string(i.Settings.Build.Context))
	if err != nil {
		return err
	}
	if len(all) > bounds.Tracked {
		i.findings = append(i.findings, Finding{string(i.Settings.Build.Context), "KeysUnsought", fmt.Sprintf("of the %d files that git tracks %d were searched for keys", len(all), bounds.Tracked), "search the others for keys and wallets by yourself"})
		all = all[:bounds.Tracked]
	}
	for _, file := range all {
		if kind := keys.Recognize(file); kind != "" && !slices.ContainsFunc(tracked, func(key string) bool { return holds(key, file) }) {
			i.complainOfKey(file, "what is "+kind)
		}
	}
	return ctx.Err()
}

// holds reports whether a file is key, or in it.
func holds(key, file string) bool {
	inside, err := filepath.Rel(key, file)
	return err == nil && filepath.IsLocal(inside)
}

func (i *inspection) complainOfKey(file, what string) {
	i.Problems = append(i.Problems, settings.Problem{Where: file, Text: fmt.Sprintf(
		"git tracks %s: git rm -r --cached %s, and name it in .gitignore; whoever has the history has the key, so make a new one", what, filepath.Base(file))})
}

// unreadable complains of a repository that cannot be read.
func (i *inspection) unreadable(err error) {
	var g *source.GitError
	if errors.As(err, &g) {
		i.Problems = append(i.Problems, settings.Problem{Where: g.Where, Text: fmt.Sprintf("%v: %s; %s", g, g.Problem, g.Remedy())})
	} else if err != nil && len(i.Problems) == 0 { // of an ignore file another part complains as well
		i.Complain("build.context", "%v", err)
	}
}

// variations says what each kind is, and what mends it.
func variations(ignore string) map[string][2]string {
	return map[string][2]string{
		source.FilterUsed:    {"the image has what the filter %s makes of the commit's file: where it is missing, or another, the image is another", "release where the filter is, or commit the file as it is to be in the image"},
		source.FilterMissing: {"the commit wants the filter %s, which git is not configured for: where it is, the image is another", "configure the filter and check the file out again, or take it out of .gitattributes"},
		source.Pointer:       {"the image would have a pointer of git-lfs in place of the file", "git lfs install && git lfs pull"},
		source.LineEnds:      {"git made other line ends than the commit has, by %s: the image differs between machines", "put * text=auto eol=lf into .gitattributes, remove the file and git checkout it"},
		source.FileMode:      {"the file's executable bit is not the commit's, which git does not look at, by %s: the image differs between machines", "git update-index --chmod (+x or -x), or chmod, so that both agree"},
		source.Ignored:       {"the image can depend on a file that git ignores: no commit has it", "name it in " + ignore + ", or commit it"},
		source.Clash:         {"only capitals tell it from %s: a checkout on macOS or Windows has one in the place of both, and makes another image", "git mv one of them to another name"},
		source.Sparse:        {"the image would lack a file of the commit, which is not checked out", "git sparse-checkout disable"},
		source.Submodule:     {"the image would lack the submodule, which is not checked out", "git submodule update --init --recursive"},
	}
}

// vary makes a finding of each kind of variation.
func (i *inspection) vary(found []source.Variation) {
	first, count := map[string]source.Variation{}, map[string]int{}
	var kinds []string
	for _, v := range found {
		key := v.Kind + v.By
		if v.Kind == source.Clash { // each has another name
			key = v.Kind
		}
		if count[key]++; count[key] == 1 {
			first[key] = v
			kinds = append(kinds, key)
		}
	}
	said := variations(source.Build(i.Settings).IgnoreFile())
	for _, key := range kinds {
		v := first[key]
		text, cure := said[v.Kind][0], said[v.Kind][1]
		if v.By != "" && v.Kind != source.Pointer {
			text = fmt.Sprintf(text, v.By)
		}
		if n := count[key] - 1; n > 0 {
			text += fmt.Sprintf(" (and %d more such files)", n)
		}
		i.findings = append(i.findings, Finding{v.File, v.Kind, text, cure})
	}
}
