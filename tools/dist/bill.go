package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// bill is the bill of materials of a program: the modules that are linked into it, as
// the program itself names them, in SPDX.
func (r release) bill(p program) ([]byte, error) {
	info, err := buildinfo.ReadFile(p.path)
	if err != nil {
		return nil, err
	}
	main := &spdx.Package{
		PackageName: "mrelease", PackageSPDXIdentifier: "mrelease", PackageVersion: r.version,
		PackageDownloadLocation: "git+" + r.source, PackageLicenseConcluded: "Apache-2.0", PackageLicenseDeclared: "Apache-2.0", PackageCopyrightText: "NOASSERTION",
	}
	doc := spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: p.name,
		DocumentNamespace: fmt.Sprintf("https://github.com/mrelease/mrelease/spdx/%s", p.name),
		CreationInfo:      &spdx.CreationInfo{Created: made.Format("2006-01-02T15:04:05Z"), Creators: []common.Creator{{CreatorType: "Tool", Creator: "mrelease-dist"}}},
		Packages:          []*spdx.Package{main},
		Relationships:     []*spdx.Relationship{{RefA: common.MakeDocElementID("", "DOCUMENT"), RefB: common.MakeDocElementID("", "mrelease"), Relationship: "DESCRIBES"}},
	}
	standard := &debug.Module{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}
	for i, module := range append([]*debug.Module{standard}, info.Deps...) {
		if module.Replace != nil {
			module = module.Replace
		}
		id := fmt.Sprintf("module-%d", i)
		doc.Packages = append(doc.Packages, &spdx.Package{
			PackageName: module.Path, PackageSPDXIdentifier: common.ElementID(id), PackageVersion: module.Version,
			PackageDownloadLocation: "NOASSERTION", PackageLicenseConcluded: "NOASSERTION", PackageLicenseDeclared: "NOASSERTION", PackageCopyrightText: "NOASSERTION",
			PackageExternalReferences: []*spdx.PackageExternalReference{{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: "pkg:golang/" + module.Path + "@" + module.Version}},
		})
		doc.Relationships = append(doc.Relationships, &spdx.Relationship{RefA: common.MakeDocElementID("", "mrelease"), RefB: common.MakeDocElementID("", id), Relationship: "DEPENDS_ON"})
	}
	text, err := json.MarshalIndent(doc, "", " ")
	return append(text, '\n'), err
}
