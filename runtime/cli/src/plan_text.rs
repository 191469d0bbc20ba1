//! A plan in words: what will happen in which order, within which limits, and why each cluster is
//! where it is.

mod plugins;

use crate::clock::utc;
use crate::output::{STRONG, paint};
use crate::prepare::Prepared;
use crate::words::plural;
use std::collections::BTreeMap;
use wavegate_model::approval::Starter;
use wavegate_model::plugin::{Phase, Stage};
use wavegate_model::policy::{
    EndState, OnAdded, OnRemoved, OnTimeLimit, OnUnreachable, PluginRef, TimeLimit, WhenBusy,
};
use wavegate_model::release::Reversal;
use wavegate_model::windows::OpenRule;
use wavegate_model::{Amount, Approvers, ClusterName, DurationMs, PlannedSite, PlannedWave};

/// Clusters that are listed of each wave, and of those that are left out: a wave fits a screen.
const LISTED_MAX: usize = 20;

/// A window of a policy or of a wave.
fn opens(rule: &OpenRule, zone: &str) -> String {
    format!("`{}` for {}, in {zone}", rule.cron, rule.length)
}

/// The stages that the strategy means to go through in some sites.
#[derive(serde::Serialize)]
pub(crate) struct Outline {
    /// Sites with the same roles and numbers of nodes.
    pub(crate) sites: Vec<wavegate_model::SiteName>,
    pub(crate) stages: Vec<Stage>,
}

/// A plan for people. `more` are sites of further shapes, of which no outline was asked.
pub(crate) fn text(name: &str, prepared: &Prepared, outlines: &[Outline], more: usize) -> String {
    let mut page = Page {
        prepared,
        out: String::new(),
    };
    page.head(name);
    let waves = &prepared.spec.plan.waves;
    for (at, wave) in waves.iter().enumerate() {
        page.wave(at, wave);
    }
    page.excluded();
    page.stages(outlines, more);
    page.approvals();
    page.batches();
    page.gates();
    page.plugins();
    page.windows();
    page.time_limits();
    page.failure();
    page.out
}

struct Page<'a> {
    prepared: &'a Prepared,
    out: String,
}

impl Page<'_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    /// A word, and what is to be said of it beside it.
    fn row(&mut self, word: &str, text: &str) {
        self.line(&format!("  {word:<9} {text}"));
    }

    fn title(&mut self, word: &str, rest: &str) {
        self.line(&format!("{}{rest}", paint(STRONG, word)));
    }

    fn head(&mut self, name: &str) {
        let spec = &self.prepared.spec;
        let sites: usize = spec.plan.waves.iter().map(|wave| wave.sites.len()).sum();
        let rest = format!(
            " {name}: {} {} over {} in {}, {}, by {}",
            spec.service,
            spec.release.version,
            plural(spec.clusters.len(), "cluster"),
            plural(sites, "site"),
            plural(spec.plan.waves.len(), "wave"),
            spec.pins.strategy_name
        );
        self.title("rollout", &rest);
    }

    fn wave(&mut self, at: usize, wave: &PlannedWave) {
        let waves = &self.prepared.spec.plan.waves;
        let title = format!(" {} ({} of {})", wave.name, at + 1, waves.len());
        let after: Vec<&str> = wave
            .after
            .iter()
            .map(|index| waves[*index].name.as_str())
            .collect();
        let starts = if after.is_empty() {
            "at once".to_owned()
        } else {
            format!("when {} done and soaked", are(&after))
        };
        let parallel = match (wave.sites.len(), wave.max_parallel_sites) {
            (1, _) => "1".to_owned(),
            (sites, 1) => format!("{sites}, one after the other"),
            (sites, most) => format!("{sites}, at most {most} at a time"),
        };
        let soak = match (wave.site_soak, wave.soak) {
            (DurationMs::ZERO, DurationMs::ZERO) => "none".to_owned(),
            (site, DurationMs::ZERO) => format!("each site {site}"),
            (DurationMs::ZERO, wave) => format!("the wave {wave} after its last site"),
            (site, wave) => format!("each site {site}, then the wave {wave}"),
        };
        self.title("wave", &title);
        self.row("starts", &starts);
        if let Some(text) = &wave.approval {
            let who = agree(&wave.approvers);
            self.row("approval", &format!("{who}: {text}"));
        }
        self.row("sites", &parallel);
        self.row("soak", &soak);
        if let Some(gates) = &wave.gates {
            let names: Vec<&str> = gates.iter().map(|gate| gate.as_str()).collect();
            let only = if names.is_empty() {
                "none".to_owned()
            } else {
                format!("only {}", listed(&names))
            };
            self.row("gates", &only);
        }
        let written = &self.prepared.spec.policy.waves;
        let own = written.iter().find(|written| written.name == wave.name);
        if let Some(rules) = own.and_then(|own| own.windows.clone()) {
            for rule in &rules.open {
                let opens = opens(rule, &rules.time_zone);
                self.row("open", &format!("{opens}; it stands still outside"));
            }
        }
        let mut left = LISTED_MAX;
        for (shown, site) in wave.sites.iter().enumerate() {
            if left == 0 || (shown > 0 && site.clusters.len() > left) {
                let rest = plural(wave.sites.len() - shown, "more site");
                self.line(&format!("  and {rest}; all with --format json"));
                break;
            }
            left = left.saturating_sub(site.clusters.len());
            self.site(site);
        }
    }

    /// One line for a site of one cluster, and one for each cluster of others.
    fn site(&mut self, site: &PlannedSite) {
        for (at, cluster) in site.clusters.iter().enumerate() {
            let nodes = self.nodes(&cluster.name);
            let why = self.why(&cluster.name);
            let role = if cluster.role.is_empty() {
                String::new()
            } else {
                format!(" as {}", cluster.role)
            };
            let alone = site.clusters.len() == 1 && site.name.as_str() == cluster.name.as_str();
            let who = if alone {
                site.name.to_string()
            } else {
                format!("{}: {}{role}", site.name, cluster.name)
            };
            let word = if at == 0 { "site" } else { "" };
            self.row(word, &format!("{who}, {}: {why}", plural(nodes, "node")));
        }
    }

    fn nodes(&self, name: &ClusterName) -> u32 {
        self.prepared
            .cluster(name)
            .map_or(0, |cluster| cluster.nodes)
    }

    /// Without the name of the wave: it stands above.
    fn why(&self, name: &ClusterName) -> String {
        let places = &self.prepared.resolved.placements;
        let found = places.binary_search_by(|place| place.cluster.cmp(name));
        let why = found.map_or("", |at| places[at].why.as_str());
        why.split_once("`: ")
            .filter(|_| why.starts_with("wave `"))
            .map_or(why, |(_, rest)| rest)
            .to_owned()
    }

    fn excluded(&mut self) {
        let excluded = &self.prepared.spec.plan.excluded;
        if excluded.is_empty() {
            return;
        }
        let rest = format!(": {}, never touched", plural(excluded.len(), "cluster"));
        self.title("left out", &rest);
        for (cluster, why) in excluded.iter().take(LISTED_MAX) {
            let why = why.strip_prefix("excluded: ").unwrap_or(why);
            self.line(&format!("  {cluster}: {why}"));
        }
        if excluded.len() > LISTED_MAX {
            let more = excluded.len() - LISTED_MAX;
            self.line(&format!("  and {more} more; all with --format json"));
        }
    }

    fn stages(&mut self, outlines: &[Outline], more: usize) {
        let about = &self.prepared.strategy.about;
        let by = format!("as {} {} outlines them", about.name, about.version);
        for outline in outlines {
            let rest = match (outlines.len(), outline.sites.as_slice()) {
                (1, _) if more == 0 => format!(" of each site, {by}"),
                (_, [one]) => format!(" of site {one}, {by}"),
                (_, [one, others @ ..]) => format!(
                    " of site {one} and {} like it, {by}",
                    plural(others.len(), "other")
                ),
                (_, []) => continue,
            };
            self.title("stages", &rest);
            for (at, stage) in outline.stages.iter().enumerate() {
                self.line(&format!("  {}. {}: {}", at + 1, stage.name, stage.text));
            }
        }
        if more > 0 {
            let rest = plural(more, "more site");
            self.line(&format!(
                "  and those of {rest} with other numbers of nodes"
            ));
        }
    }

    /// What people have to agree to before a stage, whatever the strategy says.
    fn approvals(&mut self) {
        let approvals = &self.prepared.spec.policy.approvals;
        if approvals.is_empty() {
            return;
        }
        self.title(
            "approvals",
            ", in each site before anything of the stage is done",
        );
        for approval in approvals {
            let waves: Vec<&str> = approval.waves.iter().map(|wave| wave.as_str()).collect();
            let waves = if waves.is_empty() {
                String::new()
            } else {
                format!(" in {}", listed(&waves))
            };
            let who = agree(&approval.approvers);
            self.line(&format!(
                "  {}{waves}: {who}: {}",
                approval.stage, approval.text
            ));
        }
    }

    fn batches(&mut self) {
        let batch = self.prepared.spec.policy.batch;
        self.title("batches", ", whatever the strategy wants");
        let size = self.amount(batch.size, Round::Up);
        self.row("size", &format!("at most {size} in one move"));
        let down = match batch.max_unavailable {
            Amount::Count(0) => "no node; only those that are down already may be".to_owned(),
            down => format!(
                "at most {}, those that are down already included",
                self.amount(down, Round::Down)
            ),
        };
        self.row("down", &down);
        let extra = match batch.max_surge {
            Amount::Count(0) => "no nodes above the desired number".to_owned(),
            surge => format!(
                "at most {} above the desired number",
                self.amount(surge, Round::Down)
            ),
        };
        self.row("extra", &extra);
    }

    /// An amount of nodes, and what a percentage comes to in the clusters of the plan.
    fn amount(&self, amount: Amount, round: Round) -> String {
        let share = match amount {
            Amount::Count(count) => {
                return format!("{} of a cluster", plural(count, "node"));
            }
            Amount::Percent(share) => share,
        };
        let nodes = |clusters: &[u32]| -> String {
            let comes: Vec<String> = clusters
                .iter()
                .map(|nodes| {
                    let count = match round {
                        Round::Up => amount.rounded_up(*nodes).max(1),
                        Round::Down => amount.rounded_down(*nodes),
                    };
                    format!("{count} of {nodes}")
                })
                .collect();
            comes.join(", ")
        };
        let mut sizes: Vec<u32> = self
            .prepared
            .spec
            .clusters
            .iter()
            .map(|cluster| cluster.nodes)
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        // The least and the largest say enough of many.
        if let [least, .., largest] = sizes[..]
            && sizes.len() > 3
        {
            sizes = vec![least, largest];
        }
        format!("{share} of a cluster's nodes ({})", nodes(&sizes))
    }

    fn windows(&mut self) {
        let rules = &self.prepared.spec.policy.windows;
        if rules.open.is_empty() && rules.freezes.is_empty() {
            return;
        }
        let rest = ", outside of which nothing new starts and time limits stand still";
        self.title("windows", rest);
        for rule in &rules.open {
            self.row("open", &opens(rule, &rules.time_zone));
        }
        for freeze in &rules.freezes {
            let (from, to) = (utc(freeze.from), utc(freeze.to));
            self.row("frozen", &format!("{from} to {to}: {}", freeze.reason));
        }
    }

    fn time_limits(&mut self) {
        let limits = self.prepared.spec.policy.time_limits;
        let rest = ", which stand still while paused and while no host runs it";
        self.title("time limits", rest);
        for (word, what, limit) in [
            (
                "batch",
                " without a node that becomes ready",
                limits.batch_progress,
            ),
            ("site", "", limits.cluster),
            ("wave", "", limits.wave),
            ("rollout", "", limits.rollout),
        ] {
            let text = match limit {
                None => "none".to_owned(),
                Some(TimeLimit { after, then }) => {
                    format!("{after}{what}, then {}", late(word, then))
                }
            };
            self.row(word, &text);
        }
    }

    fn failure(&mut self) {
        let spec = &self.prepared.spec;
        let failure = &spec.policy.failure;
        let sites: usize = spec.plan.waves.iter().map(|wave| wave.sites.len()).sum();
        let in_all = rounded(failure.tolerate, sites);
        let tolerated = if in_all == 0 {
            format!("no failed site of {sites} is tolerated")
        } else {
            let each = spec.plan.waves.iter().map(|wave| {
                let most = rounded(failure.tolerate_per_wave, wave.sites.len());
                (most.min(in_all), wave.name.as_str())
            });
            let mut by_count: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
            for (most, wave) in each {
                by_count.entry(most).or_default().push(wave);
            }
            let waves: Vec<String> = by_count
                .iter()
                .map(|(most, waves)| match waves.len() {
                    1..=3 => format!("{most} in {}", listed(waves)),
                    many => format!("{most} in each of {many} waves"),
                })
                .collect();
            format!(
                "{} of {sites} may fail: {}; they go back, the others go on",
                in_all,
                waves.join(", ")
            )
        };
        let irreversible = spec.release.reversal == Reversal::Irreversible;
        let then = match failure.then {
            _ if irreversible => {
                "it holds for a person: the release is irreversible, nothing goes back"
            }
            EndState::Hold => "it holds for a person; nothing goes back by itself",
            EndState::RollBackSite => "the failed sites go back to their baselines",
            EndState::RollBackWave => "what was touched in the failed site's wave goes back",
            EndState::RollBackTouched => "everything that was touched goes back",
        };
        let more = if in_all == 0 {
            "when one fails"
        } else {
            "when more fail"
        };
        let back = failure.rollback;
        let way_back = format!(
            "{} in one move, {} may be down, {} at once; given up after {} without a node that becomes ready",
            self.amount(back.batch, Round::Up),
            self.amount(back.max_unavailable, Round::Down),
            plural(back.max_parallel_sites, "site"),
            back.progress
        );
        self.title("failure", &format!(": {tolerated}"));
        self.line(&format!("  {more}, {then}"));
        if !irreversible {
            self.row("way back", &way_back);
        }
        let membership = self.prepared.spec.policy.membership;
        let unreachable = match membership.unreachable {
            OnUnreachable::Wait => "is waited for",
            OnUnreachable::Fail => "fails its site",
            OnUnreachable::Skip => "is left out",
        };
        let text = format!(
            "a cluster that does not answer for {} {unreachable} when its turn comes; a touched one keeps its place",
            membership.unreachable_after
        );
        self.row("lost", &text);
        // What is said here only when the policy says it: a plan that stays is what people expect.
        let added = match membership.added {
            OnAdded::Ignore => None,
            OnAdded::Append => Some(
                "comes into the wave that selects it, or into a last wave once that has begun to soak",
            ),
            OnAdded::OwnWave => Some("comes into a last wave after all others"),
        };
        let removed = match membership.removed {
            OnRemoved::Skip => None,
            OnRemoved::Hold => Some("is let go as it stands, and the rollout holds"),
            OnRemoved::Fail => Some("fails its site"),
        };
        if let Some(added) = added {
            let text = format!("a cluster that comes into the fleet while it runs {added}");
            self.row("added", &text);
        }
        if let Some(removed) = removed {
            let text =
                format!("a cluster that leaves the fleet after its site has begun {removed}");
            self.row("removed", &text);
        }
        let busy = match self.prepared.spec.policy.when_busy {
            WhenBusy::Refuse => None,
            WhenBusy::Queue => Some("waits until they have ended"),
            WhenBusy::Supersede => {
                Some("makes them go back where they are not done, and waits until they have ended")
            }
        };
        if let Some(busy) = busy {
            let text = format!("while other rollouts are at work in its clusters it {busy}");
            self.row("busy", &text);
        }
    }
}

#[derive(Clone, Copy)]
enum Round {
    Up,
    Down,
}

/// The last word of a time limit.
fn late(what: &str, then: OnTimeLimit) -> &'static str {
    match (what, then) {
        ("wave" | "rollout", OnTimeLimit::Fail) => "a site that is not done fails",
        (_, OnTimeLimit::Fail) => "the site fails",
        (_, OnTimeLimit::Hold) => "it holds for a person",
    }
}

/// A part of sites, as budgets round.
fn rounded(amount: Amount, sites: usize) -> usize {
    let sites = u32::try_from(sites).unwrap_or(u32::MAX);
    amount.rounded_down(sites) as usize
}

fn when(phase: Phase) -> &'static str {
    match phase {
        Phase::BeforeWave => "before a wave",
        Phase::BeforeSite => "before a site",
        Phase::AfterBatch => "after each batch",
        Phase::Soak => "while soaking",
        Phase::AfterWave => "after a wave",
        Phase::Continuous => "about every touched site until the end",
    }
}

fn reference(plugin: &PluginRef) -> String {
    match plugin {
        PluginRef::Shipped(name) | PluginRef::File(name) => name.clone(),
    }
}

/// `a person has to agree`, `2 of ann, bob and cat have to agree, not whoever started it`.
fn agree(approvers: &Approvers) -> String {
    let names: Vec<&str> = approvers.by.iter().map(String::as_str).collect();
    let who = match (approvers.count, names.as_slice()) {
        (1, []) => "a person has to agree".to_owned(),
        (count, []) => format!("{count} people have to agree"),
        (1, [one]) => format!("{one} has to agree"),
        (1, names) => format!("one of {} has to agree", listed(names)),
        (count, names) => format!("{count} of {} have to agree", listed(names)),
    };
    match approvers.starter {
        Starter::Counts => who,
        Starter::DoesNotCount => format!("{who}, and not whoever started it"),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

/// `a is`, `a and b are`.
fn are(words: &[&str]) -> String {
    let verb = if words.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", listed(words))
}
