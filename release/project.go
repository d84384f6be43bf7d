package release

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/iexeccli"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/settings"
)

// keepProject writes app and order into the files of iExec's command line.
func (r *run) keepProject(ctx context.Context) (string, error) {
	if _, err := r.lookAtProject(ctx); err != nil { // which anybody may have changed since
		return "", err
	}
	updates, err := iexeccli.Updates(string(r.Settings.Project), iexeccli.Released{
		ChainID: r.Chain.ID, Address: r.registration.Address, App: r.registration.App, Order: r.offering.Order,
	})
	if err != nil {
		return "", projectError(err.Error())
	}
	var names []string
	for _, u := range updates {
		if err := WriteOutput(u.Path, u.Data); err != nil {
			return "", err
		}
		names = append(names, filepath.Base(u.Path))
	}
	if len(names) == 0 {
		return r.note("project", false, "app and order in "+string(r.Settings.Project)), nil
	}
	return r.note("project", true, "app and order in "+strings.Join(names, ", ")), nil
}

// TryProject makes sure that the files of a project can be written, where there is one.
// Its errors are those of [TryOutput].
func TryProject(cfg settings.Settings) error {
	if cfg.Project == "" {
		return nil
	}
	return TryOutput(filepath.Join(string(cfg.Project), iexeccli.File))
}

// lookAtProject makes sure, before anything is written, that the files are about this app,
// and that what is written there does not change the source.
func (r *run) lookAtProject(ctx context.Context) ([]Finding, error) {
	folder := string(r.Settings.Project)
	about, err := iexeccli.ReadAbout(folder, r.Chain.ID)
	if err != nil {
		return nil, projectError(err.Error())
	}
	others, err := r.othersIn(ctx, about)
	if err != nil {
		return nil, err
	}
	seen, err := r.seenInProject()
	if err != nil {
		return nil, err
	}
	if all := append(others, seen...); len(all) > 0 {
		return nil, projectError(all...)
	}
	return []Finding{{"project", Note, "app and order would be written into " + strings.Join(iexeccli.Files(), ", ") + " in " + folder}}, nil
}

// othersIn says what in the files is another's than this release's: another app, an app of
// another owner, or one that is no release of this one, and an order that mrelease did not
// make. What is known of those is not overwritten.
func (r *run) othersIn(ctx context.Context, about iexeccli.About) (problems []string, err error) {
	file := filepath.Join(string(r.Settings.Project), iexeccli.File)
	if name := r.Settings.AppName(); about.Name != "" && about.Name != name {
		problems = append(problems, fmt.Sprintf("%s is about app %q, and %q is released", file, about.Name, name))
	}
	if about.Owner != (common.Address{}) && about.Owner != r.owner() {
		problems = append(problems, fmt.Sprintf("%s is about an app of %s, and the wallet is %s", file, about.Owner, r.owner()))
	}
	for _, address := range about.Apps {
		app, err := apps.Read(ctx, r.Chain, address)
		var none *apps.NoAppError
		if err != nil && !errors.As(err, &none) {
			return nil, err
		}
		if err != nil || app.Owner != r.owner() || app.Name != r.Settings.AppName() {
			problems = append(problems, fmt.Sprintf("deployed.json or orders.json in %s names %s on %s, which is no release of %s by %s", r.Settings.Project, address, r.Chain.Name, r.Settings.AppName(), r.owner()))
		}
	}
	if about.Order == nil || r.Foreign {
		return problems, nil
	}
	left, err := node.Remaining(ctx, r.Chain, about.Order.AppOrder)
	if own := orders.IsOwn(r.Chain.Domain(), about.Order.AppOrder); err == nil && !own && left.Sign() > 0 {
		problems = append(problems, fmt.Sprintf("orders.json in %s has the order %s on %s, which mrelease did not make and which can be matched still: close it, keep it elsewhere, or --foreign", r.Settings.Project, about.Order.Hash(r.Chain.Domain()), r.Chain.Name))
	}
	return problems, err
}

// seenInProject says which of the files are a part of the source.
func (r *run) seenInProject() (problems []string, err error) {
	for _, name := range iexeccli.Files() {
		path := filepath.Join(string(r.Settings.Project), name)
		var seen *InSourceError
		switch err := r.checkUnseen(path); {
		case errors.As(err, &seen):
			problems = append(problems, fmt.Sprintf("%s is a part of the source, which a release must not change: name it in %s", path, seen.Ignore))
			continue
		case err != nil:
			return nil, err
		}
		if err := CheckOutput(path); err != nil {
			return nil, err
		}
	}
	return problems, nil
}

func projectError(texts ...string) error {
	e := &settings.Error{}
	for _, text := range texts {
		e.Problems = append(e.Problems, settings.Problem{Where: "project", Text: text})
	}
	return e
}
