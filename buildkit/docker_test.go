//go:build linux && amd64

package buildkit_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	controlapi "github.com/moby/buildkit/api/services/control"
	workertypes "github.com/moby/buildkit/api/types"
	"github.com/moby/buildkit/session/grpchijack"
	"google.golang.org/grpc"

	"github.com/mrelease/mrelease/buildkit"
)

// dockerStandIn stands in for a Docker engine: it has the two paths of the
// engine's API that lead to its BuildKit, and hands the connections over to
// another. It is no Docker engine; what it shows is that the two paths suffice.
type dockerStandIn struct {
	grpc    connections
	control controlapi.ControlClient // of the BuildKit that takes the sessions
}

// start brings the stand-in up and returns its address.
func (d *dockerStandIn) start(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /grpc", func(w http.ResponseWriter, r *http.Request) {
		if conn := upgrade(w, r); conn != nil {
			d.grpc <- conn
		}
	})
	mux.HandleFunc("POST /session", d.session)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return "tcp://" + strings.TrimPrefix(server.URL, "http://")
}

// session carries a session of the client into the BuildKit.
func (d *dockerStandIn) session(w http.ResponseWriter, r *http.Request) {
	meta := map[string][]string{}
	for key, values := range r.Header {
		if strings.HasPrefix(key, "X-Docker-Expose-Session-") {
			meta[key] = values
		}
	}
	conn := upgrade(w, r)
	if conn == nil {
		return
	}
	defer conn.Close()
	inner, err := grpchijack.Dialer(d.control)(context.Background(), "h2c", meta)
	if err != nil {
		return
	}
	defer inner.Close()
	go io.Copy(inner, conn)
	io.Copy(conn, inner)
}

// upgrade answers as Docker does and takes the connection over; nil when the
// request does not ask for that.
func upgrade(w http.ResponseWriter, r *http.Request) net.Conn {
	if r.Header.Get("Upgrade") != "h2c" {
		http.Error(w, "no upgrade", http.StatusBadRequest)
		return nil
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return nil
	}
	io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	return conn
}

// connections is a listener whose connections come from elsewhere.
type connections chan net.Conn

// Accept implements net.Listener.
func (c connections) Accept() (net.Conn, error) {
	conn, ok := <-c
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

// Close implements net.Listener; the channel is closed by its owner.
func (c connections) Close() error { return nil }

// Addr implements net.Listener.
func (c connections) Addr() net.Addr { return &net.UnixAddr{} }

func TestTheBuildKitOfADockerEngineMakesTheSameImage(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	d := &dockerStandIn{grpc: make(connections), control: e.Client().ControlClient()}
	go e.Serve(d.grpc)
	t.Cleanup(func() {
		close(d.grpc)
		check(t, e.Close())
	})
	b := open(t, buildkit.Options{Builder: buildkit.Docker, DockerHost: d.start(t)})
	equal(t, "name", b.Name(), buildkit.Docker)
	sameAsEmbedded(t, b)
}

// oldWorkers is a BuildKit as it is in Docker engines that do not keep images
// as containerd does.
type oldWorkers struct {
	controlapi.UnimplementedControlServer
}

// ListWorkers implements the method of BuildKit's API.
func (oldWorkers) ListWorkers(context.Context, *controlapi.ListWorkersRequest) (*controlapi.ListWorkersResponse, error) {
	return &controlapi.ListWorkersResponse{Record: []*workertypes.WorkerRecord{{
		ID: "1", Labels: map[string]string{"org.mobyproject.buildkit.worker.moby.host-gateway-ip": "172.17.0.1"},
	}}}, nil
}

func TestADockerEngineThatCannotExportIsRefused(t *testing.T) {
	server := grpc.NewServer()
	controlapi.RegisterControlServer(server, oldWorkers{})
	d := &dockerStandIn{grpc: make(connections)}
	go server.Serve(d.grpc)
	t.Cleanup(func() {
		close(d.grpc)
		server.Stop()
	})
	host := d.start(t)
	none := noBuilder(t, buildkit.Options{Builder: buildkit.Docker, DockerHost: host})
	contains(t, "error", none.Error(), host, "containerd's image store")
	contains(t, "command", none.Command, "containerd-snapshotter")
}

// Something that speaks HTTP is not yet a Docker engine.
func TestAServerThatIsNoDockerEngineIsRefused(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	none := noBuilder(t, buildkit.Options{Builder: buildkit.Docker, DockerHost: "tcp://" + strings.TrimPrefix(server.URL, "http://")})
	contains(t, "error", none.Error(), "does not answer", "404")
}
