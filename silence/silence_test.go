package silence_test

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/grpclog"

	"github.com/mrelease/mrelease/silence"
)

// TestMain is the test, or a program in which every library says something.
func TestMain(m *testing.M) {
	if os.Getenv("TALK") == "" {
		os.Exit(m.Run())
	}
	stdout, _ := silence.Streams()
	silence.Libraries()
	talk()
	fmt.Fprintln(stdout, "the answer")
}

func talk() {
	log.Print("from log")
	slog.Error("from slog")
	logrus.Error("from logrus")
	grpclog.Error("from grpc")
	otel.Handle(errors.New("from OpenTelemetry"))
	fmt.Fprintln(os.Stderr, "from whatever writes there")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { panic("from net/http") }))
	defer s.Close()
	if answer, err := http.Get(s.URL); err == nil {
		_ = answer.Body.Close()
	}
}

func TestLibrariesAreSilent(t *testing.T) {
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), "TALK=1", "GRPC_GO_LOG_SEVERITY_LEVEL=info")
	out, err := c.CombinedOutput()
	if err != nil || string(out) != "the answer\n" {
		t.Errorf("%v: a user would see\n%s", err, out)
	}
}

// holders are the packages that keep a standard stream or a logger to it, some since
// before main, and why none of them is heard.
func holders() []string {
	return []string{
		"github.com/sirupsen/logrus", "google.golang.org/grpc/grpclog", "go.opentelemetry.io/otel/internal/global", // taken over
		"github.com/go-logr/stdr",                                 // its default logger, which OpenTelemetry replaced
		"github.com/hashicorp/go-retryablehttp",                   // the client of logs, which nothing asks
		"github.com/go-openapi/spec",                              // debugging, when SWAGGER_DEBUG is set
		"github.com/go-openapi/validate",                          // likewise
		"github.com/go-openapi/analysis/internal/debug",           // likewise
		"github.com/go-git/go-git/v5/utils/trace",                 // when GIT_TRACE is asked for in the code
		"github.com/pkg/browser",                                  // for signing in, which nothing does
		"github.com/docker/docker-credential-helpers/client",      // looked up when a helper is run
		"github.com/docker/docker-credential-helpers/credentials", // for helpers themselves
		"github.com/aws/aws-sdk-go-v2/config",                     // looked up when credentials are asked for
		"github.com/aws/aws-sdk-go-v2/credentials/processcreds",   // likewise
		"github.com/containerd/go-runc",                           // for those who ask for the standard streams
		"github.com/ethereum/go-ethereum/rpc",                     // likewise
	}
}

// A library that comes with a logger of its own is found here.
func TestWhoHoldsTheStreams(t *testing.T) {
	holds := regexp.MustCompile(`(?m)^(?:var )?\s*[\w.]+\s*(?:[\w.]+\s*)?=.*\bos\.Std(?:out|err)\b|log\.New\(os\.Std`)
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{range .GoFiles}} {{$.Dir}}/{{.}}{{end}}{{end}}", "github.com/mrelease/mrelease/cmd/mrelease").Output()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		name, files, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, file := range strings.Fields(files) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if holds.Match(text) && !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	for _, name := range found {
		if !slices.Contains(holders(), name) && !strings.HasPrefix(name, "github.com/mrelease/") {
			t.Errorf("%s holds a standard stream: take its logger over in Libraries, or say here why it is not heard", name)
		}
	}
	if len(found) < 5 {
		t.Errorf("only %d are found: %q", len(found), found)
	}
}
