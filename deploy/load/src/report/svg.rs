//! Two small charts as inline SVG: lines over seconds, and ranges on a logarithmic axis. Colours are
//! classes of the page, so that the same chart is dark or light.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;
const ROW: f64 = 26.0;
const LABELS: f64 = 104.0;

/// One line of a chart; its place in the list is its colour.
pub struct Line {
    /// For the legend.
    pub name: &'static str,
    /// One value a second; none leaves a gap.
    pub values: Vec<Option<f64>>,
}

/// One row of ranges: min, p50, p95, p99, max.
pub struct Range {
    /// The row's name.
    pub name: &'static str,
    /// In ascending order.
    pub values: [f64; 5],
}

/// Lines over seconds.
pub fn lines(title: &str, unit: &str, lines: &[Line]) -> String {
    let seconds = lines.iter().map(|line| line.values.len()).max().unwrap_or_default();
    let values = lines.iter().flat_map(|line| line.values.iter().flatten().copied());
    let step = nice_step(values.fold(0.0, f64::max) / 4.0);
    let highest = values_top(lines, step);
    let right = WIDTH - RIGHT;
    let bottom = HEIGHT - BOTTOM;
    let x = |second: f64| LEFT + (right - LEFT) * second / (seconds.max(2) - 1) as f64;
    let y = |value: f64| bottom - (bottom - TOP) * value / highest;
    let mut out = open(title, HEIGHT);
    let mut tick = 0.0;
    while tick <= highest + step / 2.0 {
        let at = y(tick);
        let _ = write!(
            out,
            "<line class='grid' x1='{LEFT}' x2='{right}' y1='{at:.1}' y2='{at:.1}'/>\
             <text class='tick end' x='{}' y='{:.1}'>{}</text>",
            LEFT - 8.0,
            at + 4.0,
            number(tick)
        );
        tick += step;
    }
    let every = nice_step(seconds as f64 / 8.0).max(1.0);
    let mut second = 0.0;
    while second < seconds as f64 {
        let _ = write!(
            out,
            "<text class='tick mid' x='{:.1}' y='{}'>{second} s</text>",
            x(second),
            HEIGHT - 8.0
        );
        second += every;
    }
    for (place, line) in lines.iter().enumerate() {
        let _ = write!(out, "<path class='line s{place}' d='{}'/>", path(&line.values, &x, &y));
    }
    out.push_str("</svg>");
    format!("<figure><figcaption>{title} ({unit}){}</figcaption>{out}</figure>", legend(lines))
}

fn values_top(lines: &[Line], step: f64) -> f64 {
    let values = lines.iter().flat_map(|line| line.values.iter().flatten().copied());
    (values.fold(0.0, f64::max) / step).ceil().max(1.0) * step
}

fn path(values: &[Option<f64>], x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) -> String {
    let mut out = String::new();
    let mut pen = 'M';
    for (second, value) in values.iter().enumerate() {
        let Some(value) = value else {
            pen = 'M';
            continue;
        };
        let (x, y) = (x(second as f64), y(*value));
        let _ = write!(out, "{pen}{x:.1} {y:.1}");
        if pen == 'M' {
            // A lone point is drawn too: round ends make it a dot.
            let _ = write!(out, "h0.1");
        }
        pen = 'L';
    }
    out
}

fn legend(lines: &[Line]) -> String {
    lines.iter().enumerate().fold(String::new(), |mut out, (place, line)| {
        let _ = write!(out, "<span class='key'><i class='s{place}'></i>{}</span>", line.name);
        out
    })
}

/// Ranges on one logarithmic axis of ms.
pub fn ranges(title: &str, rows: &[Range]) -> String {
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    let all = || rows.iter().flat_map(|row| row.values).filter(|value| *value > 0.0);
    let low = all().fold(f64::INFINITY, f64::min).clamp(0.001, 1e6).log10().floor();
    let high = all().fold(0.0, f64::max).clamp(0.01, 1e6).log10().ceil().max(low + 1.0);
    let right = WIDTH - RIGHT;
    let x = |ms: f64| {
        let share = (ms.max(10_f64.powf(low)).log10() - low) / (high - low);
        LABELS + (right - LABELS) * share
    };
    let mut out = open(title, height);
    let mut decade = low;
    while decade <= high {
        let at = x(10_f64.powf(decade));
        let _ = write!(
            out,
            "<line class='grid' x1='{at:.1}' x2='{at:.1}' y1='{TOP}' y2='{:.1}'/>\
             <text class='tick mid' x='{at:.1}' y='{:.1}'>{}</text>",
            height - BOTTOM,
            height - 8.0,
            number(10_f64.powf(decade))
        );
        decade += 1.0;
    }
    for (place, row) in rows.iter().enumerate() {
        let middle = TOP + ROW * (place as f64 + 0.5);
        let [min, p50, p95, p99, max] = row.values;
        let _ = write!(
            out,
            "<g><title>{}: min {min:.2}, p50 {p50:.2}, p95 {p95:.2}, p99 {p99:.2}, max {max:.2} ms\
             </title><text class='tick' x='0' y='{:.1}'>{}</text>\
             <line class='thin' x1='{:.1}' x2='{:.1}' y1='{middle:.1}' y2='{middle:.1}'/>\
             <line class='thick' x1='{:.1}' x2='{:.1}' y1='{middle:.1}' y2='{middle:.1}'/>\
             <circle class='dot' cx='{:.1}' cy='{middle:.1}' r='5'/>\
             <line class='mark' x1='{:.1}' x2='{:.1}' y1='{:.1}' y2='{:.1}'/></g>",
            row.name,
            middle + 4.0,
            row.name,
            x(min),
            x(max),
            x(p50),
            x(p95),
            x(p50),
            x(p99),
            x(p99),
            middle - 7.0,
            middle + 7.0,
        );
    }
    out.push_str("</svg>");
    format!(
        "<figure><figcaption>{title} (ms, logarithmic): dot p50, bar to p95, mark p99, \
         line min to max</figcaption>{out}</figure>"
    )
}

fn open(title: &str, height: f64) -> String {
    format!("<svg viewBox='0 0 {WIDTH} {height}' role='img' aria-label='{title}'>")
}

/// 1, 2 or 5 times a power of ten, at least `value`.
fn nice_step(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-3).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    steps.into_iter().find(|step| *step >= value).unwrap_or(power * 10.0)
}

fn number(value: f64) -> String {
    let text = if value >= 10.0 { format!("{value:.0}") } else { format!("{value:.3}") };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        assert_eq!([0.7, 1.0, 3.0, 26.0, 501.0].map(nice_step), [1.0, 1.0, 5.0, 50.0, 1000.0]);
    }

    #[test]
    fn nothing_measured_is_still_a_chart() {
        let empty = lines("t", "ms", &[Line { name: "a", values: vec![None] }]);
        assert!(empty.contains("<svg") && !empty.contains("NaN"), "{empty}");
        let flat = ranges("t", &[Range { name: "SEND", values: [0.0; 5] }]);
        assert!(!flat.contains("NaN") && !flat.contains("inf"), "{flat}");
    }

    #[test]
    fn a_gap_lifts_the_pen() {
        let drawn = path(&[Some(1.0), None, Some(2.0), Some(3.0)], &|x| x, &|y| y);
        assert_eq!(drawn.matches('M').count(), 2);
        assert_eq!(drawn.matches('L').count(), 1);
    }
}
