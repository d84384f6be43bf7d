package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

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

	config []string // files that verifying needs, as the chain is not built in
}

// answerRelease prints the record's path, or all with --json, and tells the CI
// system.
func (a *app) answerRelease(r release.Result, path string) error {
	rec := r.Record
	answer := releaseAnswer{
		Schema: "mrelease.release/v1", Version: rec.Version,
		Image: rec.Image.Reference, Digest: rec.Image.Digest.String(),
		MRENCLAVE: mrenclave(rec), Synthetic: rec.Enclave.Synthetic,
		AppAddress: r.Registration.Address.Hex(), AlreadyRegistered: !r.Registration.Created,
		OrderHash: rec.Order.Hash.Hex(), AlreadyPublished: !r.Offering.Published,
		RecordPath: path, Made: append([]string{}, r.Made...), Record: rec,
	}
	if !slices.ContainsFunc(poco.Chains(), func(c poco.Chain) bool { return c.Name == rec.App.Chain }) {
		answer.config = a.configFiles()
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
	if a.json {
		return printJSON(a.stdout, answer)
	}
	_, err = fmt.Fprintln(a.stdout, path)
	return err
}

func mrenclave(rec record.Record) string {
	if rec.Enclave.MRENCLAVE == nil {
		return ""
	}
	return rec.Enclave.MRENCLAVE.String()
}

// basis says what the measurement rests on.
func basis(rec record.Record) string {
	if rec.Enclave.Basis == nil {
		return ""
	}
	return rec.Enclave.Basis.String()
}

func (a releaseAnswer) outputs(encoded string) map[string]string {
	return map[string]string{
		"version": a.Version, "image": a.Image, "digest": a.Digest, "mrenclave": a.MRENCLAVE,
		"app-address": a.AppAddress, "already-registered": strconv.FormatBool(a.AlreadyRegistered),
		"order-hash": a.OrderHash, "already-published": strconv.FormatBool(a.AlreadyPublished),
		"tx-hash": a.TxHash, "record-path": a.RecordPath, "result-json": encoded,
	}
}

// summary is what a job's page shows: the verdict, then what was released, then
// how to check it.
func (a releaseAnswer) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### Released %s\n\n", a.Version) // which is a tag's name
	if a.Synthetic {
		b.WriteString("**Synthetic measurement**: made by a stand-in toolchain.\n\n")
	}
	b.WriteString("| | |\n|---|---|\n")
	for _, row := range [][2]string{
		{"Image", a.Image + "@" + a.Digest}, {"MRENCLAVE", a.MRENCLAVE}, {"It is", basis(a.Record)}, {"App", a.AppAddress + existing(a.AlreadyRegistered)},
		{"Order", a.OrderHash + existing(a.AlreadyPublished)}, {"Transaction", a.TxHash}, {"Commit", a.Record.Source.Commit},
	} {
		if row[1] != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", row[0], ci.Code(row[1]))
		}
	}
	if len(a.Made) > 0 {
		fmt.Fprintf(&b, "\nThis run made: %s\n", strings.Join(a.Made, ", "))
	}
	verify := "mrelease verify "
	for _, file := range a.config {
		verify += "--config " + shellWord(file) + " "
	}
	fmt.Fprintf(&b, "\nVerify it yourself: %s\n", ci.Code(verify+shellWord(a.RecordPath)))
	return b.String()
}

// shellWord quotes a text that is no plain word, for a command that users copy: a
// file's name can hold another command.
func shellWord(text string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`).MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func existing(there bool) string {
	if there {
		return " (was there already)"
	}
	return ""
}
