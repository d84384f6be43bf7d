package buildkit_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/mrelease/mrelease/buildkit"
)

func TestANetworkOfNoneIsNone(t *testing.T) {
	t.Parallel()
	b := shared(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer listener.Close()
	src := source(t, fmt.Sprintf("FROM program\nRUN [\"/program\", \"dial\", %q]\n", listener.Addr()), nil)
	build(t, b, src)

	src.Network = buildkit.NetworkNone
	_, err = fail(t, b, src)
	contains(t, "output", fmt.Sprint(failed(t, err).Output), "connection refused")
	src = source(t, "FROM program\nRUN [\"/program\", \"interfaces\"]\n", nil)
	src.Network, src.NoCache = buildkit.NetworkNone, true
	equal(t, "interfaces", build(t, b, src).log, "lo\n")
}

// What a step fetches is noted with its digest.
func TestARecordedNetworkIsRecorded(t *testing.T) {
	t.Parallel()
	b := shared(t)
	listener, err := net.Listen("tcp", ":0")
	check(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fetched\n") })}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	url := fmt.Sprintf("http://%s:%d/file", must(os.Hostname()), listener.Addr().(*net.TCPAddr).Port)
	src := source(t, fmt.Sprintf("FROM program\nRUN [\"/program\", \"get\", %q]\n", url), nil)
	src.Network = buildkit.NetworkRecorded
	got := build(t, b, src)
	contains(t, "log", got.log, "fetched\n")
	digests := map[string]string{}
	for _, m := range got.Materials {
		digests[m.URI] = m.Digest.String()
	}
	equal(t, "digest of what was fetched", digests[url], "sha256:"+sum("fetched\n"))

	src.Network = buildkit.NetworkHost
	equal(t, "manifest without the record", build(t, b, src).manifest(), got.manifest())
}
