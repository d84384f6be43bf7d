package buildkit_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/buildkit"
)

func TestEnvironmentThatIsWrittenOut(t *testing.T) {
	const text = `FROM python:3.12 AS base
ENV A=1 HEAP="1G" QUOTED='a b'
FROM scratch AS other
ENV OTHER=1
FROM base AS app
ARG HEAP_ARG=1
ENV A=2 B=$HEAP_ARG
ENV C 3
FROM app AS end
ENV HEAP=2G A=$B
`
	for target, want := range map[string][]string{
		"": {"QUOTED=a b", "C=3", "HEAP=2G"}, "app": {"HEAP=1G", "QUOTED=a b", "A=2", "C=3"}, "other": {"OTHER=1"}, "base": {"A=1", "HEAP=1G", "QUOTED=a b"},
	} {
		src := buildkit.Source{Context: folder(t, map[string]string{"Dockerfile": text}), Target: target}
		if got := src.Environment(); !slices.Equal(got, want) {
			t.Errorf("target %q: %q, want %q", target, got, want)
		}
	}
	if got := (buildkit.Source{Context: t.TempDir()}).Environment(); got != nil {
		t.Errorf("no Dockerfile: %q", got)
	}
}

func TestPinnedBases(t *testing.T) {
	sum := func(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }
	src := buildkit.Source{
		Context: folder(t, map[string]string{"Dockerfile": "FROM ghcr.io:443/a/b:1@" + sum("1") + " AS x\nFROM unused@" + sum("2") + " AS y\nFROM debian:12\nCOPY --from=x / /\n"}),
		Bases:   map[string]string{"docker.io/library/python:3.12": sum("3")},
	}
	if got, want := src.PinnedBases(), map[string]string{"ghcr.io:443/a/b": sum("1"), "python": sum("3")}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
