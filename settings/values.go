package settings

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
)

// Pin is the digest that a base image is pinned to.
type Pin string

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Pin) UnmarshalText(text []byte) error {
	if _, err := name.NewDigest("x@" + string(text)); err != nil {
		return fmt.Errorf("want sha256: and 64 hex digits, got %q", text)
	}
	*p = Pin(text)
	return nil
}

// SealMode says who seals the image.
type SealMode string

// SealDockerfile leaves it to the Dockerfile; the other modes are buildkit's.
const SealDockerfile SealMode = "dockerfile"

func sealModes() []SealMode {
	return []SealMode{SealDockerfile, buildkit.SealFSPF, buildkit.SealBinaryFS}
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *SealMode) UnmarshalText(text []byte) error {
	if !slices.Contains(sealModes(), SealMode(text)) {
		return fmt.Errorf("want one of %v, got %q", sealModes(), text)
	}
	*m = SealMode(text)
	return nil
}

// List is a list of words, which the environment joins by commas.
type List []string

// UnmarshalText implements [encoding.TextUnmarshaler].
func (l *List) UnmarshalText(text []byte) error {
	*l = nil
	for word := range strings.SplitSeq(string(text), ",") {
		if word = strings.TrimSpace(word); word != "" {
			*l = append(*l, word)
		}
	}
	return nil
}

// Network is what a build's RUN steps may reach.
type Network string

func networks() []string {
	return []string{buildkit.NetworkHost, buildkit.NetworkNone, buildkit.NetworkRecorded}
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (n *Network) UnmarshalText(text []byte) error {
	if !slices.Contains(networks(), string(text)) {
		return fmt.Errorf("want one of %s, got %q", strings.Join(networks(), ", "), text)
	}
	*n = Network(text)
	return nil
}

// Compression is how a build's new layers are compressed.
type Compression string

func compressions() []string { return []string{buildkit.CompressionGzip, buildkit.CompressionZstd} }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *Compression) UnmarshalText(text []byte) error {
	if !slices.Contains(compressions(), string(text)) {
		return fmt.Errorf("want one of %s, got %q", strings.Join(compressions(), ", "), text)
	}
	*c = Compression(text)
	return nil
}

// Warning says who may not be able to pull the image; empty for nobody.
func (c Compression) Warning() string {
	if c != buildkit.CompressionZstd {
		return ""
	}
	return "new layers are compressed by zstd: a worker whose Docker is older than 23.0 may not be able to pull the image"
}

// URL is the address of a service.
type URL string

// UnmarshalText implements [encoding.TextUnmarshaler]. The text may hold an API
// key, so the error does not show it.
func (u *URL) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return errors.New("want an http:// or https:// URL")
	}
	*u = URL(text)
	return nil
}

// URLs are the addresses of several services that do the same.
type URLs []string

// UnmarshalText implements [encoding.TextUnmarshaler]. As with a [URL], the error does
// not show the text.
func (u *URLs) UnmarshalText(text []byte) error {
	var words List
	if err := words.UnmarshalText(text); err != nil {
		return err
	}
	*u = nil
	for _, word := range words {
		var one URL
		if err := one.UnmarshalText([]byte(word)); err != nil {
			return err
		}
		if slices.Contains(*u, word) {
			return errors.New("names the same URL twice")
		}
		*u = append(*u, word)
	}
	if len(*u) == 0 || len(*u) > MaxURLs {
		return fmt.Errorf("want 1 to %d http:// or https:// URLs, got %d", MaxURLs, len(*u))
	}
	return nil
}

// MaxURLs is how many nodes of a chain may be named: all are asked before each transaction.
const MaxURLs = 8

// ENSName is a name in ENS; empty for none.
type ENSName string

// UnmarshalText implements [encoding.TextUnmarshaler].
func (n *ENSName) UnmarshalText(text []byte) error {
	if _, err := poco.NameHash(string(text)); len(text) > 0 && (err != nil || !poco.IsENSName(string(text))) {
		return fmt.Errorf("want a name such as hello.apps.iexec.eth, of lower-case letters, digits, - and _, got %q", text)
	}
	*n = ENSName(text)
	return nil
}

// Addresses are those of several contracts that do the same.
type Addresses []common.Address

// UnmarshalText implements [encoding.TextUnmarshaler].
func (a *Addresses) UnmarshalText(text []byte) error {
	var words List
	if err := words.UnmarshalText(text); err != nil {
		return err
	}
	*a = nil
	for _, word := range words {
		var one common.Address
		if err := one.UnmarshalText([]byte(word)); err != nil || one == (common.Address{}) {
			return fmt.Errorf("want addresses, 0x and 40 hex digits each, got %q", word)
		}
		if slices.Contains(*a, one) {
			return fmt.Errorf("names %s twice", one)
		}
		*a = append(*a, one)
	}
	if len(*a) > MaxGroups {
		return fmt.Errorf("want at most %d addresses, got %d", MaxGroups, len(*a))
	}
	return nil
}

// MaxGroups is how many groups an app may be added to: each is a transaction.
const MaxGroups = 16

// Duration is a time span such as 90s or 2m.
type Duration time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("want a duration such as 90s or 2m, got %q", text)
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes, written as such or with K, M or G (1024 each).
type Size uint64

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(text []byte) error {
	digits, shift := string(text), 0
	if i := strings.IndexAny(digits, "KMG"); i >= 0 && i == len(digits)-1 {
		shift = 10 * (strings.IndexByte("KMG", digits[i]) + 1)
		digits = digits[:i]
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n > (1<<53)>>shift {
		return fmt.Errorf("want a size such as 1G or 1073741824, got %q", text)
	}
	*s = Size(n << shift)
	return nil
}

// text writes a size as a user would; nil for none.
func (s Size) text() any {
	if s == 0 {
		return nil
	}
	for i, unit := range []string{"G", "M", "K"} {
		if shift := 30 - 10*i; s%(1<<shift) == 0 {
			return strconv.FormatUint(uint64(s>>shift), 10) + unit
		}
	}
	return strconv.FormatUint(uint64(s), 10)
}

// String writes a size in its shortest form.
func (s Size) String() string { return measure.FormatSize(fmt.Sprint(uint64(s))) }
