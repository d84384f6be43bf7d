package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/sys/user"

	"github.com/mrelease/mrelease/measure/rootfs"
)

// checkUser makes sure that the image has the user that its program runs as. A runtime
// finds out too, but only when somebody runs the image.
func checkUser(ctx context.Context, image v1.Image) (err error) {
	config, err := image.ConfigFile()
	if err != nil {
		return fmt.Errorf("reading image configuration: %w", err)
	}
	if config.Config.User == "" {
		return nil
	}
	layers, err := image.Layers()
	if err != nil {
		return fmt.Errorf("listing layers: %w", err)
	}
	files := rootfs.NewReader(layers)
	users, closeUsers, err := openTable(ctx, files, "/etc/passwd")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeUsers()) }()
	groups, closeGroups, err := openTable(ctx, files, "/etc/group")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeGroups()) }()
	if _, err := user.GetExecUser(config.Config.User, nil, users, groups); err != nil {
		return fmt.Errorf("looking for the image's user: %w", err)
	}
	return nil
}

// maxTable bounds a table of users or groups.
const maxTable = 10 << 20 // as BuildKit's

// openTable opens a file of the image; nil when there is none.
func openTable(ctx context.Context, files *rootfs.Reader, name string) (io.Reader, func() error, error) {
	_, file, err := files.Open(ctx, name)
	var kind *rootfs.KindError
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &kind) {
		return nil, func() error { return nil }, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s of the image: %w", name, err)
	}
	return io.LimitReader(file, maxTable), file.Close, nil
}
