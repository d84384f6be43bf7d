package measure_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/mrelease/mrelease/measure"
)

// elf begins a program that needs no others: the machine below runs what stands
// behind it.
const elf = "\x7fELF\x02\x01\x01"

// machine runs programs that it knows by their content:
//
//	runtime V   an enclave's: prints the measurement V in hash mode, whatever its arguments
//	shell       prints the file that its last argument names
//	env         prints the values of the variables but PATH and SCONE_HASH
//	#!/bin/sh   prints its second line
type machine struct{}

func (machine) Run(_ context.Context, image v1.Image, env []string, stdout, _ io.Writer) (int, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return 0, err
	}
	root, err := rootOf(image)
	if err != nil {
		return 0, err
	}
	args := slices.Concat(config.Config.Entrypoint, config.Config.Cmd)
	program, err := fs.ReadFile(root, strings.TrimPrefix(onPath(root, args[0]), "/"))
	if err != nil {
		return 127, nil
	}
	name, value, _ := strings.Cut(strings.TrimPrefix(string(program), elf), " ")
	switch name {
	case "runtime":
		io.WriteString(stdout, value)
	case "shell":
		text, _ := fs.ReadFile(root, strings.TrimPrefix(args[len(args)-1], "/"))
		if len(args) > 1 {
			stdout.Write(text)
		}
	case "#!/bin/sh\nsay":
		io.WriteString(stdout, value)
	case "env":
		for _, v := range slices.Concat(config.Config.Env, env) {
			if name, value, _ := strings.Cut(v, "="); name != "PATH" && name != "SCONE_HASH" {
				io.WriteString(stdout, value+"\n")
			}
		}
	}
	return 0, nil
}

func onPath(root fs.FS, name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return "/bin/" + name
}

func (machine) Look(_ context.Context, images []v1.Image, look func([]fs.FS) error) error {
	var roots []fs.FS
	for _, image := range images {
		root, err := rootOf(image)
		if err != nil {
			return err
		}
		roots = append(roots, root)
	}
	return look(roots)
}

// rootOf lays an image's layers over each other.
func rootOf(image v1.Image) (fs.FS, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	root := fstest.MapFS{}
	for _, l := range layers {
		content, err := l.Uncompressed()
		if err != nil {
			return nil, err
		}
		for files := tar.NewReader(content); ; {
			h, err := files.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return nil, err
			}
			data, err := io.ReadAll(files)
			if err != nil {
				return nil, err
			}
			root[h.Name] = &fstest.MapFile{Data: data, Mode: fs.FileMode(h.Mode)}
		}
	}
	return root, nil
}

// layer holds files; those below bin and usr/lib can be executed.
func layer(t *testing.T, files map[string]string) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		mode := int64(0o644)
		if path.Dir(name) == "bin" {
			mode = 0o755
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, files[name])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sample is an app over a base image.
type sample struct {
	config v1.Config
	base   map[string]string
	app    map[string]string
}

func (s sample) images(t *testing.T) (base measure.Base, image v1.Image) {
	t.Helper()
	below, err := mutate.AppendLayers(empty.Image, layer(t, s.base))
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.AppendLayers(below, layer(t, s.app)); err != nil {
		t.Fatal(err)
	}
	s.config.Env = append(s.config.Env, "PATH=/usr/bin:/bin")
	if image, err = mutate.Config(image, s.config); err != nil {
		t.Fatal(err)
	}
	manifest, err := below.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := below.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return measure.Base{Name: "scone:1@" + digest.String(), Documents: []string{string(manifest)}}, image
}

// An image's measurement is known where the base's own program prints it by itself;
// all else is what the image states. Each case but the first is an attack.
func TestAttackWhatAMeasurementRestsOn(t *testing.T) {
	said := map[string]string{"conf/said": other}
	starts := func(args ...string) v1.Config { return v1.Config{Entrypoint: args} }
	base := map[string]string{
		"bin/python": elf + "runtime " + hash, "bin/sh": elf + "shell", "bin/printenv": elf + "env",
		"bin/wrapper": "#!/bin/sh\nsay " + hash,
	}
	for name, c := range map[string]struct {
		sample
		want measure.Trust
		why  string
		says string
	}{
		"the base's runtime":    {sample{starts("python", "/app/app.py"), base, said}, measure.TrustKnown, "", hash},
		"by its path":           {sample{starts("/bin/python"), base, said}, measure.TrustKnown, "", hash},
		"a shell that is asked": {sample{starts("sh", "/conf/said"), base, said}, measure.TrustStated, "/bin/sh by itself measures nothing", other},
		"a program of the app":  {sample{starts("/bin/app"), base, map[string]string{"bin/app": elf + "runtime " + hash}}, measure.TrustStated, "/bin/app, which /bin/app is started with, is not that of scone:1", hash},
		"a runtime in the place of the base's": {
			sample{starts("python"), base, map[string]string{"bin/python": elf + "runtime " + other}}, measure.TrustStated, "/bin/python, which", other,
		},
		"a file that is found earlier": {
			sample{starts("python"), base, map[string]string{"usr/bin/python": "not executable"}}, measure.TrustKnown, "", hash,
		},
		"a script of the app":        {sample{starts("/bin/start"), base, map[string]string{"bin/start": "#!/bin/sh\nsay " + hash}}, measure.TrustStated, "/bin/start is a script", hash},
		"a script of the base":       {sample{starts("wrapper"), base, said}, measure.TrustStated, "/bin/wrapper is a script", hash},
		"a variable that is printed": {sample{v1.Config{Entrypoint: []string{"printenv"}, Env: []string{"SCONE_HEAP=" + other}}, base, said}, measure.TrustStated, "/bin/printenv by itself", other},
	} {
		t.Run(name, func(t *testing.T) {
			trusted, image := c.images(t)
			spec := legacy()
			spec.Bases, spec.Claim = []measure.Base{trusted}, key+"|"+tag+"|"+c.says
			found, err := measure.Image(t.Context(), machine{}, image, spec)
			if err != nil {
				t.Fatal(err)
			}
			if found.Basis.Trust != c.want || !strings.Contains(found.Basis.Why, c.why) {
				t.Errorf("rests on: %s; want %s, %q", found.Basis, c.want, c.why)
			}
			if c.want == measure.TrustKnown && (found.Basis.Program != "/bin/python" || found.Basis.Base.Name != trusted.Name) {
				t.Errorf("rests on %+v", found.Basis)
			}
		})
	}
}

// Nothing rests on a base that nobody trusts, that is another one, or whose documents
// are not those of its digest.
func TestAttackABaseThatIsNotTheImages(t *testing.T) {
	app := sample{v1.Config{Entrypoint: []string{"python"}}, map[string]string{"bin/python": elf + "runtime " + hash}, nil}
	trusted, image := app.images(t)
	other, _ := sample{base: map[string]string{"bin/python": elf + "runtime " + hash, "etc/other": ""}}.images(t)
	forged := measure.Base{Name: other.Name, Documents: trusted.Documents}
	for name, c := range map[string]struct {
		bases []measure.Base
		want  measure.Trust
		fails bool
	}{
		"none": {nil, measure.TrustStated, false}, "another": {[]measure.Base{other}, measure.TrustStated, false},
		"both": {[]measure.Base{other, trusted}, measure.TrustKnown, false}, "forged": {[]measure.Base{forged}, "", true},
		"without documents": {[]measure.Base{{Name: trusted.Name}}, "", true},
		"of two indexes":    {[]measure.Base{{Name: trusted.Name, Documents: append(slices.Clone(trusted.Documents), trusted.Documents...)}}, "", true},
	} {
		spec := object()
		spec.Bases = c.bases
		found, err := measure.Image(t.Context(), machine{}, image, spec)
		if (err != nil) != c.fails || found.Basis.Trust != c.want {
			t.Errorf("%s: %s, %v", name, found.Basis, err)
		}
	}
}

func TestABaseIsKnownByItsIndex(t *testing.T) {
	trusted, image := sample{v1.Config{Entrypoint: []string{"python"}}, map[string]string{"bin/python": elf + "runtime " + hash}, nil}.images(t)
	digest, size, err := v1.SHA256(strings.NewReader(trusted.Documents[0]))
	if err != nil {
		t.Fatal(err)
	}
	arm := v1.Descriptor{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}, Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}
	amd := v1.Descriptor{MediaType: arm.MediaType, Size: size, Digest: digest, Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: "application/vnd.oci.image.index.v1+json", Manifests: []v1.Descriptor{arm, amd}})
	if err != nil {
		t.Fatal(err)
	}
	of, _, err := v1.SHA256(bytes.NewReader(index))
	if err != nil {
		t.Fatal(err)
	}
	spec := object()
	spec.Bases = []measure.Base{{Name: "scone:1@" + of.String(), Documents: []string{string(index), trusted.Documents[0]}}}
	found, err := measure.Image(t.Context(), machine{}, image, spec)
	if err != nil || found.Basis.Trust != measure.TrustKnown {
		t.Errorf("%s, %v", found.Basis, err)
	}
}
