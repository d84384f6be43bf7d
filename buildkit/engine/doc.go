// Package engine runs BuildKit's control plane inside this process: no daemon,
// no socket, one state folder.
//
// BuildKit is a program first and a library second, so some of its state is
// global to the process. [Start] sets it: the output and level of the standard
// logrus logger, apicaps.ExportedProduct, the name of the program in capability
// errors, the umask, 022, since BuildKit makes the folders of containers
// with the one there is, and go-runc's Monitor, so that runc gets none of this
// process's environment. OpenTelemetry is left at its default, off. Two goroutines
// of BuildKit's build history sleep until the process ends.
//
// The engine needs Linux on amd64, for which images are, runc, and root or a user
// namespace in which it is root. For other machines [Start] is compiled too, and fails.
// A step that runs uses the network of the host and gets no extra entitlement.
package engine

import (
	"io"
	"runtime/debug"

	"github.com/sirupsen/logrus"
)

// buildkitModule is what BuildKit's version is that of.
const buildkitModule = "github.com/moby/buildkit"

// Options say where an engine keeps its state and what it may use.
type Options struct {
	// Root is the state folder, an absolute path. It is created when missing.
	Root string
	// Runtime is the path of runc.
	Runtime string
	// Insecure lists registries, as host or host:port, that may answer over
	// plain HTTP or with a certificate nobody vouches for. Loopback addresses
	// need not be listed.
	Insecure []string
	// MaxCache is the number of bytes the build cache may hold after Close.
	// Zero takes BuildKit's default for the disk that holds Root.
	MaxCache int64
	// Exclusive says that this process has no other engine. Its temporary files
	// (TMPDIR) are then kept below Root, where the next Start finds what a kill
	// left of them.
	Exclusive bool
	// Log receives BuildKit's warnings; nil discards them. Errors of builds
	// reach the client of the build either way.
	Log io.Writer
	// Waiting, when set, is called once if another process uses Root, before
	// Start waits for it.
	Waiting func()
	// Discarded, when set, is called if the cache was thrown away, because the
	// machine stopped during a build, or after Distrust.
	Discarded func()
}

// Importing is a folder below a state folder that is the state folder of another engine: of
// one that takes steps that others built. The two share nothing, and may be at work at the
// same time.
const Importing = "importing"

// ConfinedHost is the name of the host in a container that is confined: its program
// comes from an image of anybody's, and is to print a line. Its limits are below;
// that of time is the caller's.
const ConfinedHost = "confined"

// Version returns the version of the BuildKit that is linked into the program,
// such as "v0.34.2", or "(unknown)" when the program carries no build
// information.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == buildkitModule {
				return module.Version
			}
		}
	}
	return "(unknown)"
}

// Quiet sends the warnings of BuildKit and containerd, whose client parts write
// them too, to log; nil discards them.
func Quiet(log io.Writer) {
	if log == nil {
		log = io.Discard
	}
	logrus.SetOutput(log)
	logrus.SetLevel(logrus.WarnLevel)
}
