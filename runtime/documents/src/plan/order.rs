//! The order of waves: a graph, made into a line.

use super::Planner;
use crate::diagnostic::{Code, Diagnostic};
use crate::suggest;
use std::collections::{BTreeMap, BTreeSet};
use wavegate_model::WaveName;

/// Waves in an order in which every one comes later than those it comes after.
pub(super) struct Ordered {
    /// Numbers of waves in the document.
    pub(super) order: Vec<usize>,
    /// By number in the document.
    pub(super) after: Vec<Vec<usize>>,
}

impl Planner<'_> {
    /// Which waves each wave comes after, by number in the document.
    fn after(&self) -> Option<Vec<Vec<usize>>> {
        let waves = &self.policy.policy.waves;
        let numbers: BTreeMap<&WaveName, usize> = waves
            .iter()
            .enumerate()
            .map(|(number, wave)| (&wave.name, number))
            .collect();
        let mut good = true;
        let mut all = Vec::new();
        for (number, (wave, spots)) in waves.iter().zip(&self.policy.waves).enumerate() {
            let Some(after) = &wave.after else {
                all.push(number.checked_sub(1).into_iter().collect());
                continue;
            };
            let mut resolved = BTreeSet::new();
            for (name, place) in after.iter().zip(&spots.after) {
                let problem = match numbers.get(name) {
                    Some(earlier) if *earlier == number => Diagnostic::error(
                        Code::Plan,
                        format!("the wave `{name}` comes after itself"),
                    ),
                    Some(earlier) if resolved.insert(*earlier) => continue,
                    Some(_) => Diagnostic::error(
                        Code::Duplicate,
                        format!("the wave `{name}` is there twice"),
                    ),
                    None => Diagnostic::error(Code::Dangling, format!("there is no wave `{name}`"))
                        .maybe_hint(suggest::name_hint(
                            name.as_str(),
                            waves.iter().map(|wave| wave.name.as_str()),
                        )),
                };
                good = false;
                self.problems.push(problem.at(place.clone(), ""));
            }
            all.push(resolved.into_iter().collect());
        }
        good.then_some(all)
    }

    /// The waves in an order in which every one comes later than those it comes after; of those
    /// that could come next, the one that is written first.
    pub(super) fn order(&self) -> Option<Ordered> {
        let after = self.after()?;
        let mut before: Vec<Vec<usize>> = vec![Vec::new(); after.len()];
        for (wave, earlier) in after.iter().enumerate() {
            for earlier in earlier {
                before[*earlier].push(wave);
            }
        }
        let mut open: Vec<usize> = after.iter().map(Vec::len).collect();
        let mut ready: BTreeSet<usize> = (0..after.len()).filter(|wave| open[*wave] == 0).collect();
        let mut order = Vec::with_capacity(after.len());
        while let Some(wave) = ready.pop_first() {
            order.push(wave);
            for later in &before[wave] {
                open[*later] -= 1;
                if open[*later] == 0 {
                    ready.insert(*later);
                }
            }
        }
        if order.len() < after.len() {
            self.report_cycle(&after, &open);
            return None;
        }
        Some(Ordered { order, after })
    }

    fn report_cycle(&self, after: &[Vec<usize>], open: &[usize]) {
        // Every wave that is left waits for one that is left, so going back ends in a circle.
        let Some(mut wave) = open.iter().position(|count| *count > 0) else {
            return;
        };
        let mut path: Vec<usize> = Vec::new();
        while !path.contains(&wave) {
            path.push(wave);
            let Some(earlier) = after[wave].iter().find(|earlier| open[**earlier] > 0) else {
                return;
            };
            wave = *earlier;
        }
        let start = path.iter().position(|seen| *seen == wave).unwrap_or(0);
        let mut circle: Vec<usize> = path[start..].to_vec();
        circle.push(wave);
        let names: Vec<String> = circle
            .iter()
            .map(|wave| format!("`{}`", self.policy.policy.waves[*wave].name))
            .collect();
        let message = format!("waves wait for each other: {}", names.join(" after "));
        let mut problem = Diagnostic::error(Code::Plan, message);
        for (number, pair) in circle.windows(2).enumerate() {
            let (spots, waves) = (&self.policy.waves[pair[0]], &self.policy.policy.waves);
            let says = match &waves[pair[0]].after {
                Some(_) => format!("after `{}`", waves[pair[1]].name),
                None => format!(
                    "after `{}`, which is written before it",
                    waves[pair[1]].name
                ),
            };
            let place = spots.name.clone();
            problem = if number == 0 {
                problem.at(place, says)
            } else {
                problem.see(place, says)
            };
        }
        self.problems.push(problem);
    }
}
