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
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/settings"
)

// Project is the files of iExec's command line, which name the app and the order that are on
// sale: those of the latest release, where there are several.
type Project struct {
	Settings settings.Settings
	Chain    *node.Client
	Owner    common.Address
	Foreign  bool // an order that mrelease did not make may be overwritten
}

// Check says what in the files is another's than the owner's releases of this app: that is
// not overwritten. Its error is a *settings.Error, which has all of it, or the node's.
func (p Project) Check(ctx context.Context) error {
	if p.Settings.Project == "" {
		return nil
	}
	problems, err := p.others(ctx)
	if err == nil && len(problems) > 0 {
		err = projectError(problems...)
	}
	return err
}

// Write writes an app and its order into the files, and returns the names of those that it
// changed. Errors: those of [Project.Check] and [WriteOutput].
func (p Project) Write(ctx context.Context, app apps.Registration, order poco.SignedAppOrder) (names []string, err error) {
	if err := p.Check(ctx); err != nil { // which anybody may have changed since
		return nil, err
	}
	updates, err := iexeccli.Updates(string(p.Settings.Project), iexeccli.Released{ChainID: p.Chain.ID, Address: app.Address, App: app.App, Order: order})
	if err != nil {
		return nil, projectError(err.Error())
	}
	for _, u := range updates {
		if err := WriteOutput(u.Path, u.Data); err != nil {
			return names, err
		}
		names = append(names, filepath.Base(u.Path))
	}
	return names, nil
}

func (r *run) project() Project { return Project{r.Settings, r.Chain, r.owner(), r.Foreign} }

// keepProject writes app and order into the files, unless they name a later release that is
// on sale.
func (r *run) keepProject(ctx context.Context) (string, error) {
	if later := r.plan.Succession.Later; later != nil {
		return fmt.Sprintf("the files are left to %s, which is on sale and later than this release", later.Version()), nil
	}
	if _, err := r.lookAtProject(ctx); err != nil { // which anybody may have changed since
		return "", err
	}
	names, err := r.project().Write(ctx, r.registration, r.offering.Order)
	switch {
	case err != nil:
		return "", err
	case len(names) == 0:
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
	others, err := r.project().others(ctx)
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
	folder := string(r.Settings.Project)
	if later := r.plan.Succession.Later; later != nil {
		return []Finding{{"project", Note, fmt.Sprintf("the files in %s would be left to %s, which is on sale and later than this release", folder, later.Version())}}, nil
	}
	return []Finding{{"project", Note, "app and order would be written into " + strings.Join(iexeccli.Files(), ", ") + " in " + folder}}, nil
}

// others says what in the files is another's: another app, an app of another owner, or one
// that is no release of this one, and an order that mrelease did not make.
func (p Project) others(ctx context.Context) (problems []string, err error) {
	folder, name := string(p.Settings.Project), p.Settings.AppName()
	about, err := iexeccli.ReadAbout(folder, p.Chain.ID)
	if err != nil {
		return nil, projectError(err.Error())
	}
	file := filepath.Join(folder, iexeccli.File)
	if about.Name != "" && about.Name != name {
		problems = append(problems, fmt.Sprintf("%s is about app %q, and %q is released", file, about.Name, name))
	}
	if about.Owner != (common.Address{}) && about.Owner != p.Owner {
		problems = append(problems, fmt.Sprintf("%s is about an app of %s, and the wallet is %s", file, about.Owner, p.Owner))
	}
	for _, address := range about.Apps {
		app, err := apps.Read(ctx, p.Chain, address)
		var none *apps.NoAppError
		if err != nil && !errors.As(err, &none) {
			return nil, err
		}
		if err != nil || app.Owner != p.Owner || app.Name != name {
			problems = append(problems, fmt.Sprintf("deployed.json or orders.json in %s names %s on %s, which is no release of %s by %s", folder, address, p.Chain.Name, name, p.Owner))
		}
	}
	if about.Order == nil || p.Foreign {
		return problems, nil
	}
	left, err := node.Remaining(ctx, p.Chain, about.Order.AppOrder)
	if own := orders.IsOwn(p.Chain.Domain(), about.Order.AppOrder); err == nil && !own && left.Sign() > 0 {
		problems = append(problems, fmt.Sprintf("orders.json in %s has the order %s on %s, which mrelease did not make and which can be matched still: close it, keep it elsewhere, or --foreign", folder, about.Order.Hash(p.Chain.Domain()), p.Chain.Name))
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
