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
	s := stamped{&pb.Definition{Metadata: map[string]*pb.OpMetadata{}}, nanoseconds, map[string]bool{}, map[string]string{}}
	names := map[string]string{} // by the digest that an operation had
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
		was := digest.FromBytes(encoded).String()
		is, err := s.add(&op, def.Metadata[was])
		if err != nil {
			return nil, err
		}
		names[was] = is
	}
	s.def.Source = renameLocations(def.Source, names)
	return s.def, nil
}

// stamped are a build's steps, as far as they are changed.
type stamped struct {
	def         *pb.Definition
	nanoseconds int64
	contexts    map[string]bool   // names of the operations that are folders of the client
	unmarked    map[string]string // names of their copies, by theirs
}

// add changes an operation and returns its name.
func (s stamped) add(op *pb.Op, meta *pb.OpMetadata) (name string, err error) {
	fromContext := s.fromContexts(op) // before these are copies
	for i, input := range op.Inputs {
		if !fromContext[i] || !seesTimes(op, int64(i)) {
			continue
		}
		if input.Digest, err = s.unmark(input); err != nil {
			return "", err
		}
	}
	if file := op.GetFile(); file != nil {
		stampFiles(file, s.nanoseconds)
		touch(file, int64(len(op.Inputs)), s.nanoseconds)
		trace(file, fromContext)
	}
	for _, mount := range op.GetExec().GetMounts() {
		traceMount(mount, fromContext)
	}
	if name, err = s.put(op, meta); err == nil {
		s.contexts[name] = strings.HasPrefix(op.GetSource().GetIdentifier(), "local://")
	}
	return name, err
}

func (s stamped) put(op *pb.Op, meta *pb.OpMetadata) (name string, err error) {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(op)
	if err != nil {
		return "", fmt.Errorf("encoding build step: %w", err)
	}
	s.def.Def = append(s.def.Def, encoded)
	name = digest.FromBytes(encoded).String()
	if meta != nil {
		s.def.Metadata[name] = meta
	}
	return name, nil
}

// fromContexts tells which inputs of an operation are folders of the client.
func (s stamped) fromContexts(op *pb.Op) (from []bool) {
	for _, input := range op.Inputs {
		from = append(from, s.contexts[input.Digest])
	}
	return from
}

// seesTimes reports whether an operation does more with an input than copy from it,
// which gives files their time.
func seesTimes(op *pb.Op, input int64) bool {
	if op.GetFile() == nil {
		return true
	}
	for _, action := range op.GetFile().Actions {
		if action.Input == input || action.SecondaryInput == input && action.GetCopy() == nil {
			return true
		}
	}
	return false
}

// unmark returns the copy of a folder of the client whose files have the time, in place
// of that which they were sent with (see marks): for steps that it is mounted into, and
// images that are made FROM it.
func (s stamped) unmark(folder *pb.Input) (name string, err error) {
	if name, ok := s.unmarked[folder.Digest]; ok {
		return name, nil
	}
	everything := &pb.FileActionCopy{Src: "/", Dest: "/", Mode: -1 /* as it is */, DirCopyContents: true, Timestamp: s.nanoseconds}
	file := &pb.FileOp{Actions: []*pb.FileAction{{Input: none, SecondaryInput: 0, Output: 0, Action: &pb.FileAction_Copy{Copy: everything}}}}
	touch(file, 1, s.nanoseconds)
	name, err = s.put(&pb.Op{
		Inputs:   []*pb.Input{{Digest: folder.Digest, Index: folder.Index}},
		Op:       &pb.Op_File{File: file},
		Platform: &pb.Platform{OS: "linux", Architecture: "amd64"},
	}, &pb.OpMetadata{
		Description: map[string]string{"llb.customname": "[internal] set times of the build context"},
		Caps:        map[string]bool{"file.base": true},
	})
	s.unmarked[folder.Digest] = name
	return name, err
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
func trace(op *pb.FileOp, fromContext []bool) {
	for _, action := range op.Actions {
		from := action.SecondaryInput
		if action.GetCopy() == nil || from < 0 || from >= int64(len(fromContext)) || fromContext[from] {
			continue
		}
		op.Actions = append(op.Actions, &pb.FileAction{Input: from, SecondaryInput: none, Output: none, Action: &pb.FileAction_Rm{
			Rm: &pb.FileActionRm{Path: "/never", AllowNotFound: true},
		}})
	}
}

// traceMount does the same for what is mounted into a RUN step. The times in copies of
// the client's folders are constant, which another tool's are not: a mount that asks for
// what is the default is not the one of another tool's step.
func traceMount(mount *pb.Mount, fromContext []bool) {
	if mount.MountType != pb.MountType_BIND || mount.Dest == pb.RootMount || mount.Input < 0 || mount.Input >= int64(len(fromContext)) {
		return
	}
	mount.ContentCache = pb.MountContentCache_OFF
	if fromContext[mount.Input] {
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
