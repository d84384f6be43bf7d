package buildkit

import (
	"context"
	"fmt"
	"strings"

	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	"google.golang.org/protobuf/proto"
)

// BuildKit knows a file by its content and mode, not by its time, nor by whether it
// is a hard link. So a builder that has built before, for whomever, may take a file
// that differs in these from its cache, and what a RUN step made of it (tar, Python's
// bytecode) with it. Therefore each copy is told which time to give to its files, so
// that the time is part of what the cache knows it by; and what is not from a folder
// of the client is known by the steps that made it instead of by its content.

// stamper is a builder's gateway that gives each copied file one time.
type stamper struct {
	gateway.Client
	nanoseconds int64 // since 1970
}

// Solve implements gateway.Client.
func (c stamper) Solve(ctx context.Context, req gateway.SolveRequest) (*gateway.Result, error) {
	if req.Definition != nil {
		stamped, err := stamp(req.Definition, c.nanoseconds)
		if err != nil {
			return nil, err
		}
		req.Definition = stamped
	}
	return c.Client.Solve(ctx, req)
}

// stamp changes a build's steps. An operation is named by its digest, so those that
// depend on a changed one change too. The inputs of an operation stand before it
// (solver/pb/ops.proto).
func stamp(def *pb.Definition, nanoseconds int64) (*pb.Definition, error) {
	stamped := &pb.Definition{Metadata: map[string]*pb.OpMetadata{}}
	names := map[string]string{}  // by the digest that an operation had
	contexts := map[string]bool{} // names of the operations that are folders of the client
	for _, encoded := range def.Def {
		var op pb.Op
		if err := op.UnmarshalVT(encoded); err != nil {
			return nil, fmt.Errorf("parsing build step: %w", err)
		}
		for _, input := range op.Inputs {
			name, ok := names[input.Digest]
			if !ok {
				return nil, fmt.Errorf("parsing build step: input %s does not stand before it", input.Digest)
			}
			input.Digest = name
		}
		if file := op.GetFile(); file != nil {
			stampFiles(file, nanoseconds)
			touch(file, int64(len(op.Inputs)), nanoseconds)
			trace(file, op.Inputs, contexts)
		}
		for _, mount := range op.GetExec().GetMounts() {
			traceMount(mount, op.Inputs, contexts)
		}
		changed, err := proto.MarshalOptions{Deterministic: true}.Marshal(&op)
		if err != nil {
			return nil, fmt.Errorf("encoding build step: %w", err)
		}
		was, is := digest.FromBytes(encoded).String(), digest.FromBytes(changed).String()
		names[was] = is
		contexts[is] = strings.HasPrefix(op.GetSource().GetIdentifier(), "local://")
		stamped.Def = append(stamped.Def, changed)
		if meta, ok := def.Metadata[was]; ok {
			stamped.Metadata[is] = meta
		}
	}
	stamped.Source = renameLocations(def.Source, names)
	return stamped, nil
}

// stampFiles tells the actions that copy and make files which time to give to them.
func stampFiles(op *pb.FileOp, nanoseconds int64) {
	for _, action := range op.Actions {
		if a := action.GetCopy(); a != nil {
			a.Timestamp = nanoseconds
		}
		if a := action.GetMkfile(); a != nil {
			a.Timestamp = nanoseconds
		}
		if a := action.GetMkdir(); a != nil {
			a.Timestamp = nanoseconds
		}
	}
}

// In a FileAction, none stands for no input and no output, and inputs beyond the
// operation's are the results of its actions (solver/pb/ops.proto).
const none = int64(pb.SkipOutput)

// touch makes an operation that copies into a folder end with giving it the time, by
// copying an empty folder onto it: a file that is added to a folder which was there
// before gives it the time of the clock.
func touch(op *pb.FileOp, inputs, nanoseconds int64) {
	folder, ok := filled(op)
	if !ok {
		return
	}
	last := op.Actions[len(op.Actions)-1]
	result, empty := inputs+int64(len(op.Actions))-1, inputs+int64(len(op.Actions))
	op.Actions = append(op.Actions,
		&pb.FileAction{Input: none, SecondaryInput: none, Output: none, Action: &pb.FileAction_Mkdir{
			Mkdir: &pb.FileActionMkDir{Path: "/empty", Mode: 0o755, Timestamp: nanoseconds},
		}},
		&pb.FileAction{Input: result, SecondaryInput: empty, Output: last.Output, Action: &pb.FileAction_Copy{
			Copy: &pb.FileActionCopy{Src: "/empty", Dest: folder, Mode: -1 /* as it is */, DirCopyContents: true, Timestamp: nanoseconds},
		}},
	)
	last.Output = none
}

// filled returns the folder into which an operation copies, if it is sure to be there
// afterwards.
func filled(op *pb.FileOp) (folder string, ok bool) {
	for i, action := range op.Actions {
		a, isLast := action.GetCopy(), i == len(op.Actions)-1
		if a == nil || !strings.HasSuffix(a.Dest, "/") || i > 0 && a.Dest != folder || isLast != (action.Output != none) {
			return "", false
		}
		folder = a.Dest
		ok = ok || !a.AllowWildcard || !strings.ContainsAny(a.Src, `*?[\`)
	}
	return folder, ok
}

// trace lets the cache know what is copied by the steps that made it. BuildKit does so
// for what an action changes, so each such input gets an action whose result nobody
// asks for; it is never carried out.
func trace(op *pb.FileOp, inputs []*pb.Input, contexts map[string]bool) {
	for _, action := range op.Actions {
		from := action.SecondaryInput
		if action.GetCopy() == nil || from < 0 || from >= int64(len(inputs)) || contexts[inputs[from].Digest] {
			continue
		}
		op.Actions = append(op.Actions, &pb.FileAction{Input: from, SecondaryInput: none, Output: none, Action: &pb.FileAction_Rm{
			Rm: &pb.FileActionRm{Path: "/never", AllowNotFound: true},
		}})
	}
}

// traceMount does the same for what is mounted into a RUN step. The times in the
// client's folders are constant, which another tool's are not: a mount that asks for
// what is the default is not the one of another tool's step.
func traceMount(mount *pb.Mount, inputs []*pb.Input, contexts map[string]bool) {
	if mount.MountType != pb.MountType_BIND || mount.Dest == pb.RootMount || mount.Input < 0 || mount.Input >= int64(len(inputs)) {
		return
	}
	mount.ContentCache = pb.MountContentCache_OFF
	if contexts[inputs[mount.Input].Digest] {
		mount.ContentCache = pb.MountContentCache_ON
	}
}

// renameLocations keeps what leads from an operation to its line of the
// Dockerfile.
func renameLocations(source *pb.Source, names map[string]string) *pb.Source {
	if source == nil {
		return nil
	}
	renamed := &pb.Source{Infos: source.Infos, Locations: map[string]*pb.Locations{}}
	for was, locations := range source.Locations {
		renamed.Locations[names[was]] = locations
	}
	return renamed
}
