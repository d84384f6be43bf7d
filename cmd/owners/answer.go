package owners

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/page"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/owned"
	"github.com/mrelease/mrelease/publish/record"
)

// answer is told as it comes: a line, or an element of the document, for each app. Nothing of
// an app is kept once it is told.
type answer struct {
	Program
	owner common.Address
	asked page.Asked
	told  int // apps
}

// head is how the document begins: mrelease.verify-owner/v1.
type head struct {
	Schema string         `json:"schema"`
	Owner  record.Address `json:"owner"`
	Asked  page.Asked     `json:"asked"`
}

// element is an app in the list apps: the answer of mrelease verify 0x…, and which app it is.
type element struct {
	App     record.Address `json:"app"`
	Name    string         `json:"name"`
	Version string         `json:"version"` // the tag of its image; empty where it names none
	Result  owned.Result   `json:"result"`
	page.Verification
}

// tail is how the document ends.
type tail struct {
	Count map[owned.Result]int `json:"count"`
	OK    bool                 `json:"ok"`             // each link of each app was looked at, and holds
	Said  string               `json:"verdict"`        // in words: PASSED, FAILED, or INCOMPLETE and why
	Code  string               `json:"code,omitempty"` // of the error that it ends with
	More  string               `json:"more,omitempty"` // why not all apps are here
}

// add tells of an app.
func (a *answer) add(app owned.App, block node.Block) error {
	a.asked.Block = &page.Block{Hash: block.Hash, Number: block.Number, Time: block.Time}
	e := a.element(app)
	text, err := a.line(app, e), error(nil)
	if *a.JSON {
		text, err = a.listed(e)
	}
	if err == nil {
		_, err = fmt.Fprint(a.Out, text)
	}
	a.told++
	a.Progress(printable.Count(a.told, "app") + " verified")
	return err
}

// listed is an app in the document, the first one with the document's head.
func (a *answer) listed(e element) (string, error) {
	before := ","
	if a.told == 0 {
		head, err := a.document(head{"mrelease.verify-owner/v1", record.Address(a.owner), a.asked})
		if err != nil {
			return "", err
		}
		before = strings.TrimSuffix(head, "\n}") + ",\n  \"apps\": ["
	}
	text, err := a.document(e)
	return before + "\n    " + strings.ReplaceAll(text, "\n", "\n    "), err
}

// document is a part of the document by itself.
func (a *answer) document(part any) (string, error) {
	var text bytes.Buffer
	err := a.PrintJSON(&text, part)
	return strings.TrimSuffix(text.String(), "\n"), err
}

// element is the answer about an app, as it is without the others.
func (a *answer) element(app owned.App) element {
	e := element{record.Address(app.Address), app.App.Name, apps.Version(app.App), app.Result, page.NewVerification(a.asked, app.Subject, app.Address.Hex())}
	all := make([]error, len(app.Checks))
	for i, c := range app.Checks {
		var code, text string
		if all[i] = c.Err; c.Err != nil {
			code, text = a.Explain(c.Err)
		}
		e.Add(c, code, text)
	}
	if err := e.Conclude(all); err != nil {
		e.Code, _ = a.Explain(err)
	}
	return e
}

// line tells of an app in a line: its result, and the first link that makes it.
func (a *answer) line(app owned.App, e element) string {
	marks := map[owned.Result]string{owned.Holds: "✓", owned.Failed: "✗"}
	line := fmt.Sprintf("%s %s  %s %s  %s", cmp.Or(marks[app.Result], "–"), app.Address, printable.Text(app.App.Name), printable.Text(cmp.Or(e.Version, "-")), app.Result)
	worst, found := app.Worst()
	switch {
	case !found:
		return line + "\n"
	case app.Result == owned.Holds:
		return line + "; not looked at: " + strings.Join(unseen(app), ", ") + "\n"
	}
	code, text := a.Explain(worst.Err)
	return fmt.Sprintf("%s  %s: %s: %s\n", line, worst.Name, code, printable.Text(text))
}

// unseen names the links of an app that holds which were not looked at.
func unseen(app owned.App) (names []string) {
	for _, c := range app.Checks {
		if c.Err != nil {
			names = append(names, c.Name)
		}
	}
	return names
}

// end tells what it came to; err is why there was no more to tell. Its error is that, or that
// of the tally.
func (a *answer) end(t owned.Tally, err error) error {
	stopped := err
	if err == nil {
		stopped, err = t.Stopped, t.Err()
	}
	if a.told == 0 { // which is an error without an answer
		return err
	}
	last := tail{Count: t.Of, OK: err == nil, Said: verdict(t, err)}
	if err != nil {
		last.Code, _ = a.Explain(err)
	}
	if stopped != nil {
		_, last.More = a.Explain(stopped)
	}
	if untold := a.conclude(t, last); untold != nil || err == nil {
		return untold
	}
	return usage.Told(err, *a.JSON)
}

func (a *answer) conclude(t owned.Tally, last tail) error {
	text := fmt.Sprintf("%s\n%s\n", t, last.Said)
	if *a.JSON {
		end, err := a.document(last)
		if err != nil {
			return err
		}
		text = "\n  ],\n" + strings.TrimPrefix(end, "{\n") + "\n"
	}
	_, err := fmt.Fprint(a.Out, text)
	return err
}

// verdict is what the apps come to, in the words of one release.
func verdict(t owned.Tally, err error) string {
	switch {
	case err == nil:
		return "PASSED"
	case t.Of[owned.Failed]+t.Of[owned.Unsold] > 0:
		return "FAILED"
	case !usage.Is[*owned.Error](err), t.Stopped != nil, t.Of[owned.Unasked] > 0:
		return "INCOMPLETE: not all apps could be looked at"
	case t.Of[owned.Unrecorded] > 0:
		return "INCOMPLETE: there is no record by the owner of each app"
	case record.IsOfLayers(err):
		return "INCOMPLETE: neither layers nor measurement were checked"
	}
	return "INCOMPLETE: the measurement was not checked"
}
