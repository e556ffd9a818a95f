//! The plots of `benches/README.md`.

use std::path::{Path, PathBuf};

use plotters::prelude::*;

/// A curve: its name and its (x, y) points.
pub type Curve<'a> = (&'a str, Vec<(f64, f64)>);

/// Whether the results are worth plotting: a run that is neither quick nor filtered.
pub fn is_full_run() -> bool {
    std::env::args()
        .skip(1)
        .all(|argument| argument == "--bench")
}

/// Folder of the plots in `benches/README.md`.
pub fn plots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plots")
}

/// Draws curves over a logarithmic x axis into an SVG.
pub fn draw(name: &str, title: &str, x: &str, y: &str, curves: &[Curve<'_>]) {
    let path = plots().join(name);
    let points = || curves.iter().flat_map(|(_, points)| points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        points()
            .map(of)
            .fold((f64::MAX, f64::MIN), |(low, high), v| {
                (low.min(v), high.max(v))
            })
    };
    let ((left, right), (_, top)) = (range(|point| point.0), range(|point| point.1));
    let root = SVGBackend::new(&path, (760, 420)).into_drawing_area();
    root.fill(&WHITE).expect("an SVG in memory");
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d((left..right).log_scale(), 0.0..top * 1.1)
        .expect("axes");
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .draw()
        .expect("a mesh");
    for (at, (name, points)) in curves.iter().enumerate() {
        let color = Palette99::pick(at).to_rgba();
        chart
            .draw_series(
                LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(3),
            )
            .expect("a curve")
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()
        .expect("a legend");
    root.present().expect("the plot can be written");
}
