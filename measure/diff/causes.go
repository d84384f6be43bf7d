package diff

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/measure/rootfs"
)

// facts are what a rule sees of a change besides the change. The entries are nil
// when there are not two.
type facts struct {
	base bool
	a, b *rootfs.Entry
}

// rule recognises a cause. The first rule that matches a change counts.
type rule struct {
	name, cure string
	matches    func(Change, facts) bool
}

// RandomSeal is the cause of what differs by design.
const RandomSeal = "random seal"

// OtherTimes is the cause of times that differ as the inputs do.
const OtherTimes = "times of other inputs"

// rules are the known causes, the gravest first. The cures for what package
// managers leave behind were tried: with them two builds are equal.
func rules(epochs [2]int64) []rule {
	return []rule{
		{RandomSeal, "none is needed: the seal's key is a new one each time; compare the unsealed digest and the MRENCLAVE",
			func(c Change, _ facts) bool { return c.Random }},
		{"base image moved", "pin the base image by its digest: build.bases in mrelease.yaml, or FROM name@sha256:…",
			func(_ Change, f facts) bool { return f.base }},
		{"packages without pinned versions", "name the versions (apt-get install libfoo=1.2-3, apk add libfoo=1.2-r3, pip install --require-hashes), or install from a dated snapshot of the distribution's archive",
			func(c Change, _ facts) bool { return c.Kind == Package }},
		{"Python bytecode", "set PYTHONDONTWRITEBYTECODE=1; or declare ARG SOURCE_DATE_EPOCH and run python3 -m compileall, which then checks sources by hash in place of by time",
			isBytecode},
		left("logs of apt and dpkg", "rm -rf /var/log/apt /var/log/dpkg.log /var/log/alternatives.log in the RUN that installs",
			"/var/log/apt/", "/var/log/dpkg.log", "/var/log/alternatives.log", "/var/log/bootstrap.log"),
		left("caches of apt", "rm -rf /var/lib/apt/lists/* /var/cache/apt in the RUN that installs",
			"/var/cache/apt/", "/var/lib/apt/lists/"),
		left("cache of ldconfig", "rm -f /var/cache/ldconfig/aux-cache in the RUN that installs", "/var/cache/ldconfig/aux-cache"),
		left("backups of debconf and dpkg", "rm -f /var/cache/debconf/*-old /var/lib/dpkg/*-old in the RUN that installs",
			"/var/cache/debconf/*-old", "/var/lib/dpkg/*-old"),
		left("machine id", "empty the file in the RUN that makes it: : > /etc/machine-id", "/etc/machine-id", "/var/lib/dbus/machine-id"),
		left("host keys", "delete them in the RUN that makes them, and make them when the program starts", "/etc/ssh/ssh_host_*"),
		left("caches of package managers", "install without them (pip install --no-cache-dir), or put them on a mount: RUN --mount=type=cache",
			"/root/.cache/", "/root/.npm/", "/var/cache/apk/"),
		left("temporary files", "delete them in the RUN that makes them", "/tmp/", "/var/tmp/"),
		{"one time for all files", "the image with other times was made by an older mrelease, which gave files the commit's time: rebuild with --source-date-epoch and the second that its configuration names as its creation, or release a new version",
			func(c Change, f facts) bool { return c.Kind == Mtime && f.oneIsFixed() }},
		{"times of an earlier build", "an older mrelease took the step from a builder's cache, with the times at which it was built for an earlier commit; nothing of the source is at fault: release a new version, whose files have one time whatever the builder built before",
			func(c Change, f facts) bool { return c.Kind == Mtime && f.oneIsEarlier(epochs) }},
		{"built for another time", "build the same commit, or set SOURCE_DATE_EPOCH to the same value",
			func(c Change, f facts) bool { return c.Kind == Mtime && f.areMadeAt(epochs) }},
		{"modification times", "build with SOURCE_DATE_EPOCH and rewrite-timestamp, as mrelease does; files older than it keep their time: touch them in the RUN that makes them",
			func(c Change, _ facts) bool { return c.Kind == Mtime }},
		{"modes or owners of the checkout", "build with mrelease, which sets them, or with COPY --chmod and --chown",
			func(c Change, _ facts) bool { return c.Kind == Mode || c.Kind == Owner || c.Kind == Xattrs }},
		{"order of the files", "build with the same builder; a step that packs files must sort them (tar --sort=name)",
			func(c Change, _ facts) bool { return c.Kind == Order }},
		{"another writer of the archive", "build with the same version of mrelease; the content is the same", func(c Change, _ facts) bool { return c.Kind == Header }},
		{"another compression", "compare the config digests, which do not cover it; build with the same version of mrelease",
			func(c Change, _ facts) bool { return c.Kind == Compression }},
	}
}

// left makes a rule for files that a tool leaves behind: patterns of
// [path.Match], or a folder's path with / at its end.
func left(name, cure string, patterns ...string) rule {
	return rule{name, cure, func(c Change, _ facts) bool {
		return c.Kind != Mode && c.Kind != Owner && slices.ContainsFunc(patterns, func(p string) bool {
			matched, err := path.Match(p, c.Path)
			return err == nil && matched || strings.HasSuffix(p, "/") && strings.HasPrefix(c.Path+"/", p)
		})
	}}
}

// isBytecode matches compiled Python that holds the time of its source, and a
// folder of such that one image has (PEP 552).
func isBytecode(c Change, f facts) bool {
	if c.Kind == Presence {
		return strings.HasSuffix(c.Path, ".pyc") || path.Base(c.Path) == "__pycache__"
	}
	return c.Kind == Content && strings.HasSuffix(c.Path, ".pyc") && (byTime(f.a) || byTime(f.b))
}

func byTime(e *rootfs.Entry) bool {
	return e != nil && len(e.Head) >= 16 && bytes.Equal(e.Head[4:8], make([]byte, 4))
}

// areMadeAt reports whether both entries carry the times that the images were
// made for.
func (f facts) areMadeAt(epochs [2]int64) bool {
	return f.a != nil && f.b != nil && epochs[0] != epochs[1] && f.a.ModTime.Unix() == epochs[0] && f.b.ModTime.Unix() == epochs[1]
}

// fixedEpoch is the time of all files that a build makes, unless another was
// asked for, in seconds since 1970 (buildkit.FixedEpoch).
const fixedEpoch = 315_619_200

func (f facts) oneIsFixed() bool {
	return f.a != nil && f.b != nil && (f.a.ModTime.Unix() == fixedEpoch) != (f.b.ModTime.Unix() == fixedEpoch)
}

// oneIsEarlier reports whether one entry carries its image's time, and the other
// an earlier one than its image's.
func (f facts) oneIsEarlier(epochs [2]int64) bool {
	if f.a == nil || f.b == nil {
		return false
	}
	a, b := f.a.ModTime.Unix(), f.b.ModTime.Unix()
	return a == epochs[0] && b < epochs[1] || b == epochs[1] && a < epochs[0]
}

// tally counts the causes of changes.
type tally struct {
	rules  []rule
	counts map[string]*Cause
}

// newTally takes the times that the images were made for, in seconds since 1970, and
// whether they are of other inputs: then times say nothing of how they were made.
func newTally(a, b int64, otherInputs bool) *tally {
	all := rules([2]int64{a, b})
	if otherInputs {
		times := rule{OtherTimes, "none is needed: the two are made from other inputs, at other times", func(c Change, _ facts) bool { return c.Kind == Mtime }}
		all = slices.Insert(all, 1, times)
	}
	return &tally{all, map[string]*Cause{}}
}

// note counts a change and returns the name of its cause; none is "".
func (t *tally) note(c Change, f facts) string {
	for _, r := range t.rules {
		if !r.matches(c, f) {
			continue
		}
		if t.counts[r.name] == nil {
			t.counts[r.name] = &Cause{Name: r.name, Cure: r.cure, Example: c.Path}
		}
		t.counts[r.name].Count++
		return r.name
	}
	return ""
}

// list returns the causes that were met, in the order of the rules; those by design, of
// which nothing needs mending, behind the others.
func (t *tally) list() (met []Cause) {
	var meant []Cause
	for _, r := range t.rules {
		switch c := t.counts[r.name]; {
		case c == nil:
		case r.name == RandomSeal || r.name == OtherTimes:
			meant = append(meant, *c)
		default:
			met = append(met, *c)
		}
	}
	return append(met, meant...)
}
