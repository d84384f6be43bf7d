package main

import (
	"fmt"
	"image/color"
	"math"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The sizes of the drawing.
const (
	panelWidth  = 12 * vg.Centimeter
	panelHeight = 9 * vg.Centimeter
)

// draw writes the rows that have a place on it to a drawing, a panel for each series, side by
// side; without such rows it writes nothing.
func (r *report) draw(path string) (err error) {
	var panels []*plot.Plot
	for _, series := range []string{bySize, byFiles, byApps} {
		p, err := panel(series, r.Rows)
		if err != nil {
			return fmt.Errorf("drawing figures: %w", err)
		}
		if p != nil {
			panels = append(panels, p)
		}
	}
	if panels == nil {
		return nil
	}
	canvas := vgsvg.New(panelWidth*vg.Length(len(panels)), panelHeight)
	const edge = vg.Centimeter / 2 // for what the last numbers stand out
	tiles := draw.Tiles{Rows: 1, Cols: len(panels), PadX: vg.Centimeter, PadTop: edge, PadRight: edge, PadBottom: edge}
	for i, c := range plot.Align([][]*plot.Plot{panels}, tiles, draw.New(canvas))[0] {
		panels[i].Draw(c)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("drawing figures: %w", err)
	}
	_, err = canvas.WriteTo(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("drawing figures: %w", err)
	}
	return nil
}

// panel draws size against seconds, both in powers of ten; nil for a series without rows.
func panel(series string, rows []row) (*plot.Plot, error) {
	var ours, theirs plotter.XYs
	for _, row := range rows {
		if row.At != nil && row.At.Series == series {
			ours = append(ours, plotter.XY{X: row.At.Size, Y: row.Ours.Median})
			theirs = append(theirs, plotter.XY{X: row.At.Size, Y: row.Theirs.Median})
		}
	}
	if ours == nil {
		return nil, nil
	}
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = series, "seconds"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	for _, side := range []struct {
		name  string
		at    plotter.XYs
		color color.Color
	}{{"mrelease", ours, color.RGBA{R: 0x1a, G: 0x6f, B: 0xc4, A: 0xff}}, {"buildctl", theirs, color.RGBA{R: 0xd9, G: 0x5f, B: 0x02, A: 0xff}}} {
		line, points, err := plotter.NewLinePoints(side.at)
		if err != nil {
			return nil, err
		}
		line.Color, points.Color, line.Width, points.Shape = side.color, side.color, vg.Points(1.5), draw.CircleGlyph{}
		p.Add(line, points)
		p.Legend.Add(side.name, line, points)
	}
	p.X.Min, p.X.Max = decades(p.X.Min, p.X.Max)
	p.Y.Min, p.Y.Max = decades(p.Y.Min, p.Y.Max)
	return p, nil
}

// decades is the powers of ten between which values are, at least one apart.
func decades(least, most float64) (from, to float64) {
	first := math.Floor(math.Log10(least))
	return math.Pow(10, first), math.Pow(10, max(first+1, math.Ceil(math.Log10(most))))
}
