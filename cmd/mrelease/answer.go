package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/release"
)

// releaseAnswer is the answer of mrelease release --json. Its keys are the
// outputs of the GitHub Action as well.
type releaseAnswer struct {
	Schema            string        `json:"schema"`
	Version           string        `json:"version"`
	Image             string        `json:"image"`
	Digest            string        `json:"digest"`
	MRENCLAVE         string        `json:"mrenclave,omitempty"`
	Synthetic         bool          `json:"synthetic,omitempty"`
	AppAddress        string        `json:"app-address"`
	AlreadyRegistered bool          `json:"already-registered"`
	OrderHash         string        `json:"order-hash"`
	AlreadyPublished  bool          `json:"already-published"`
	TxHash            string        `json:"tx-hash,omitempty"`
	RecordPath        string        `json:"record-path"`
	Made              []string      `json:"made"` // the steps that this run made something in; empty when all was there
	Record            record.Record `json:"record"`

	next []string // commands
}

// answerRelease tells the verdict and prints the record's path, or all with --json, and
// tells the CI system.
func (a *app) answerRelease(r release.Result, path string, took time.Duration) error {
	rec := r.Record
	answer := releaseAnswer{
		Schema: "mrelease.release/v1", Version: rec.Version,
		Image: rec.Image.Reference, Digest: rec.Image.Digest.String(),
		MRENCLAVE: rec.Enclave.Measured(), Synthetic: rec.Enclave.Synthetic,
		AppAddress: r.Registration.Address.Hex(), AlreadyRegistered: !r.Registration.Created,
		OrderHash: rec.Order.Hash.Hex(), AlreadyPublished: !r.Offering.Published,
		RecordPath: path, Made: append([]string{}, r.Made...), Record: rec,
	}
	verify := "mrelease verify "
	if !slices.ContainsFunc(poco.Chains(), func(c poco.Chain) bool { return c.Name == rec.App.Chain }) {
		for _, file := range a.configFiles() {
			verify += "--config " + ci.Word(file) + " "
		}
	}
	answer.next = []string{verify + ci.Word(path)}
	if accepted, err := release.ReadLock(a.lockPath()); err == nil && accepted == nil {
		answer.next = append(answer.next, "mrelease accept "+ci.Word(path)+" && git add "+ci.Word(a.lockPath()))
	}
	if r.Registration.Tx != (common.Hash{}) {
		answer.TxHash = r.Registration.Tx.Hex()
	}
	encoded, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encoding answer: %w", err)
	}
	if err := errors.Join(a.story.ci.Outputs(answer.outputs(string(encoded))), a.story.ci.Summary(answer.summary())); err != nil {
		return err
	}
	verdict := fmt.Sprintf("released %s %s on %s in %.1f s", rec.App.Name, rec.Version, rec.App.Chain, took.Seconds())
	if len(r.Made) == 0 {
		verdict = "nothing was made: image, signature, provenance, app and order of " + rec.Version + " were there already"
	}
	a.story.note("%s", verdict)
	for _, row := range answer.rows() {
		a.story.note("  %-12s %s", row[0], row[1])
	}
	a.story.note("  %-12s %s", "next", strings.Join(answer.next, "; "))
	if a.json {
		return printJSON(a.stdout, answer)
	}
	_, err = fmt.Fprintln(a.stdout, path)
	return err
}

func (a releaseAnswer) outputs(encoded string) []ci.Output {
	return []ci.Output{
		{Name: "version", Value: a.Version}, {Name: "image", Value: a.Image}, {Name: "digest", Value: a.Digest}, {Name: "mrenclave", Value: a.MRENCLAVE},
		{Name: "app-address", Value: a.AppAddress}, {Name: "already-registered", Value: strconv.FormatBool(a.AlreadyRegistered)},
		{Name: "order-hash", Value: a.OrderHash}, {Name: "already-published", Value: strconv.FormatBool(a.AlreadyPublished)},
		{Name: "tx-hash", Value: a.TxHash}, recordPath(a.RecordPath), {Name: "result-json", Value: encoded, File: "result.json"},
	}
}

func recordPath(path string) ci.Output { return ci.Output{Name: "record-path", Value: path} }

// summary is what a job's page shows: the verdict, then what was released, then
// how to check it.
func (a releaseAnswer) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### Released %s\n\n", a.Version) // which is a tag's name
	if a.Synthetic {
		b.WriteString("**Synthetic measurement**: made by a stand-in toolchain.\n\n")
	}
	b.WriteString("| | |\n|---|---|\n")
	for _, row := range a.rows() {
		fmt.Fprintf(&b, "| %s | %s |\n", row[0], ci.Code(row[1]))
	}
	if len(a.Made) > 0 {
		fmt.Fprintf(&b, "\nThis run made: %s\n", strings.Join(a.Made, ", "))
	}
	fmt.Fprintf(&b, "\nVerify it yourself: %s\n", ci.Code(a.next[0]))
	return b.String()
}

// rows are what there is now, as it is called.
func (a releaseAnswer) rows() [][2]string {
	return slices.DeleteFunc([][2]string{
		{"Image", a.Image + "@" + a.Digest}, {"MRENCLAVE", a.MRENCLAVE}, {"It is", a.Record.Enclave.Rests()}, {"App", a.AppAddress + existing(a.AlreadyRegistered)},
		{"Order", a.OrderHash + existing(a.AlreadyPublished)}, {"Transaction", a.TxHash}, {"Source", a.Record.Source.State()},
	}, func(row [2]string) bool { return row[1] == "" })
}

func existing(there bool) string {
	if there {
		return " (was there already)"
	}
	return ""
}
