//! The report as one page: no script, no network, plots in SVG.

use super::report::{Report, Subject, rows, says};
use super::stats::as_f64;
use super::tally::Told;
use std::fmt::Write as _;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1c2430;background:#fff}\
h1{font-size:1.6rem}h2{font-size:1.25rem;margin-top:2.2rem}h3{font-size:1rem;margin:1.4rem 0 .3rem}\
table{border-collapse:collapse;margin:.6rem 0}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}\
th{font-weight:600}tr+tr td{border-top:1px solid #e3e7ee}.n{text-align:right;font-variant-numeric:tabular-nums}\
.noise{color:#69748a}.say{color:#4a5568}svg{max-width:100%;height:auto}\
svg text{font:12px system-ui,sans-serif;fill:#1c2430}";

const CAUGHT: &str = "#2f855a";
const CONTAINED: &str = "#4299b7";
const MISSED: &str = "#c53030";
const OPEN: &str = "#a0aec0";
/// Of the subjects, in curves.
const CURVES: [&str; 2] = ["#2b6cb0", "#b7791f"];

/// Text of a document or a plugin, as text.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The page.
pub fn page(report: &Report) -> String {
    let mut text = String::new();
    let out = &mut text;
    let names: Vec<String> = report.subjects.iter().map(|s| escaped(&s.name)).collect();
    let title = format!("Simulation of {}", names.join(" and "));
    let _ = writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n<h1>{title}</h1>"
    );
    let facts: u64 = report.subjects.iter().map(|s| s.summary.facts).sum();
    let _ = writeln!(
        out,
        "<p class=\"say\">{} runs each, seed {}, wavegate {}. The auditor checked {facts} facts. \
         The same documents, components, version and seed give the same figures.</p>",
        report.runs,
        escaped(&report.seed),
        escaped(&report.wavegate)
    );
    for subject in &report.subjects {
        self::subject(out, subject);
    }
    comparison(out, report);
    curves(out, report);
    out.push_str("</html>\n");
    text
}

fn subject(out: &mut String, subject: &Subject) {
    let _ = writeln!(
        out,
        "<h2>{}</h2>\n<p class=\"say\">Policy {}, {} clusters, {} nodes; strategy {}</p>\n<table>",
        escaped(&subject.name),
        escaped(&subject.policy),
        subject.clusters,
        subject.nodes,
        escaped(&subject.strategy)
    );
    for (what, figure) in rows(subject) {
        let _ = writeln!(out, "<tr><th>{what}</th><td>{}</td></tr>", escaped(&figure));
    }
    out.push_str("</table>\n");
    faults(out, subject);
    acted(out, subject);
}

/// What became of bad releases, a bar for each fault.
fn faults(out: &mut String, subject: &Subject) {
    let faults = &subject.summary.by_fault;
    if faults.is_empty() {
        return;
    }
    let _ = writeln!(out, "<h3>What became of bad releases</h3>");
    let height = 28 * faults.len() + 34;
    let _ = writeln!(
        out,
        "<svg viewBox=\"0 0 760 {height}\" role=\"img\" aria-label=\"bad releases by fault\">"
    );
    for (place, fault) in faults.iter().enumerate() {
        let y = 28 * place;
        let _ = writeln!(
            out,
            "<text x=\"0\" y=\"{}\">{}</text>",
            y + 17,
            escaped(&fault.fault)
        );
        let known = fault.caught.count + fault.contained.count + fault.missed.count;
        let open = fault.runs - known;
        let parts = [
            (CAUGHT, fault.caught.count),
            (CONTAINED, fault.contained.count),
            (MISSED, fault.missed.count),
            (OPEN, open),
        ];
        let mut x = 150.0;
        for (colour, count) in parts {
            let width = 520.0 * as_f64(count) / as_f64(fault.runs.max(1));
            if count > 0 {
                let _ = writeln!(
                    out,
                    "<rect x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"20\" fill=\"{colour}\"/>",
                    y + 3
                );
            }
            x += width;
        }
        let _ = writeln!(
            out,
            "<text x=\"680\" y=\"{}\">{} of {}</text>",
            y + 17,
            fault.caught.count + fault.contained.count,
            fault.runs
        );
    }
    let y = height - 10;
    let legend = [
        (CAUGHT, "caught"),
        (CONTAINED, "contained"),
        (MISSED, "missed"),
        (OPEN, "open"),
    ];
    for (place, (colour, word)) in legend.into_iter().enumerate() {
        let x = 150 + 110 * place;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"{y}\">{word}</text>",
            y - 10,
            x + 18
        );
    }
    out.push_str("</svg>\n");
}

/// Which gate or limit acted first.
fn acted(out: &mut String, subject: &Subject) {
    let all = &subject.summary.acted;
    if all.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "<h3>What acted first</h3>\n<table><tr><th></th><th>on bad releases</th>\
         <th>on good ones</th></tr>"
    );
    for one in all {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escaped(&one.what),
            one.bad,
            one.good
        );
    }
    out.push_str("</table>\n");
}

fn comparison(out: &mut String, report: &Report) {
    let (Some(comparison), [first, second]) = (&report.comparison, &report.subjects[..]) else {
        return;
    };
    let _ = writeln!(
        out,
        "<h2>{} against {}</h2>\n<p class=\"say\">Both met the same releases, fleets and days, \
         run by run. What chance would do as well is called noise.</p>\n<table>",
        escaped(&second.name),
        escaped(&first.name)
    );
    for difference in &comparison.differences {
        let class = if difference.noise {
            " class=\"noise\""
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "<tr{class}><th>{}</th><td>{}</td></tr>",
            escaped(&difference.figure),
            escaped(&says(difference))
        );
    }
    out.push_str("</table>\n");
}

/// A plot: its heading, what is on its axis, and the values of each subject.
type Plot = (&'static str, &'static str, fn(&Subject) -> Vec<f64>);

const PLOTS: [Plot; 3] = [
    ("Time to done of good releases", "minutes", |subject| {
        let good = subject.runs.iter().filter(|run| run.told == Told::Good);
        good.map(|run| as_f64(run.took_ms) / 60_000.0).collect()
    }),
    (
        "Nodes exposed to a bad release before it was stopped",
        "nodes",
        |subject| {
            let bad = subject.runs.iter().filter(|run| run.fault.is_some());
            bad.map(|run| f64::from(run.before_stop.nodes)).collect()
        },
    ),
    (
        "Requests that a bad release spoiled",
        "requests",
        |subject| {
            let bad = subject.runs.iter().filter(|run| run.fault.is_some());
            bad.map(|run| as_f64(run.in_all.harmed)).collect()
        },
    ),
];

fn curves(out: &mut String, report: &Report) {
    for (heading, axis, values) in PLOTS {
        let mut all: Vec<Vec<f64>> = report.subjects.iter().map(values).collect();
        for values in &mut all {
            values.sort_by(f64::total_cmp);
        }
        if all.iter().all(Vec::is_empty) {
            continue;
        }
        let _ = writeln!(
            out,
            "<h3>{heading}</h3>\n<p class=\"say\">Share of the runs with at most so many.</p>"
        );
        plot(out, heading, axis, report, &all);
    }
}

/// The share of values up to each value, as a stair for each subject.
fn plot(out: &mut String, heading: &str, axis: &str, report: &Report, all: &[Vec<f64>]) {
    let (left, top, width, height) = (60.0, 12.0, 640.0, 200.0);
    let largest = all.iter().flatten().copied().fold(0.0, f64::max);
    let most = if largest > 0.0 { largest } else { 1.0 };
    let x = |value: f64| left + width * value / most;
    let y = |share: f64| top + height * (1.0 - share);
    let _ = writeln!(
        out,
        "<svg viewBox=\"0 0 760 270\" role=\"img\" aria-label=\"{heading}\">"
    );
    for share in [0.0, 0.5, 0.9, 1.0] {
        let at = y(share);
        let _ = writeln!(
            out,
            "<line x1=\"{left}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#e3e7ee\"/>\
             <text x=\"8\" y=\"{:.1}\">{:.0} %</text>",
            left + width,
            at + 4.0,
            share * 100.0
        );
    }
    for part in 0..=4 {
        let value = most * f64::from(part) / 4.0;
        let digits = if most < 10.0 { 2 } else { 0 };
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"230\" text-anchor=\"middle\">{value:.digits$}</text>",
            x(value)
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"248\" text-anchor=\"middle\">{axis}</text>",
        left + width / 2.0
    );
    for (place, values) in all.iter().enumerate() {
        let colour = CURVES[place % CURVES.len()];
        let mut path = format!("M{:.1} {:.1}", x(0.0), y(0.0));
        let count = as_f64(values.len().max(1) as u64);
        let mut last = 0.0;
        for (rank, value) in values.iter().enumerate() {
            let share = as_f64(rank as u64 + 1) / count;
            // Steps that no pixel shows are left out.
            let next = values.get(rank + 1);
            if next.is_some_and(|next| next == value || share - last < 0.002) {
                continue;
            }
            let _ = write!(path, "H{:.1}V{:.1}", x(*value), y(share));
            last = share;
        }
        let _ = write!(path, "H{:.1}", left + width);
        let _ = writeln!(
            out,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"264\" style=\"fill:{colour}\">{}</text>",
            left + 220.0 * as_f64(place as u64),
            escaped(&report.subjects[place].name)
        );
    }
    out.push_str("</svg>\n");
}
