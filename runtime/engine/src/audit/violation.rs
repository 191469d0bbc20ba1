//! What the auditor can find, with operands.

use crate::fact::End;
use crate::swap::Part;
use alloc::boxed::Box;
use alloc::string::String;
use wavegate_model::plugin::Phase;
use wavegate_model::{
    ClusterName, CommandId, ConsultationId, Digest, DurationMs, Epoch, GateName, Generation,
    SiteName, SourceName, Timestamp, WaveName,
};

/// A fact that breaks an invariant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the fields are the operands that the variant's message names"
)]
pub enum Violation {
    /// Generations never fall.
    #[error("command {command} is of generation {now}, after one of generation {before}")]
    GenerationFell {
        command: CommandId,
        before: Generation,
        now: Generation,
    },
    /// Ids of commands rise.
    #[error("command {command} comes after command {last}")]
    CommandRepeated { command: CommandId, last: CommandId },
    /// One change at a time.
    #[error("command {second} for site {site} was given while command {first} is outstanding")]
    TwoOutstanding {
        site: SiteName,
        first: CommandId,
        second: CommandId,
    },
    /// Commands go to clusters that this host owns.
    #[error(
        "command {command} has epoch {epoch} for cluster {cluster}, which is held by {owned:?}"
    )]
    NotOwner {
        command: CommandId,
        cluster: ClusterName,
        epoch: Epoch,
        owned: Option<Epoch>,
    },
    /// Commands rest on what was seen since the last change.
    #[error("command {command} rests on a look at cluster {cluster} before {since:?}")]
    Stale {
        command: CommandId,
        cluster: ClusterName,
        since: Timestamp,
    },
    /// Only sites that are being updated or go back are changed.
    #[error("command {command} changes site {site}, whose turn it is not")]
    OutOfTurn { command: CommandId, site: SiteName },
    /// Nothing advances while it may not.
    #[error("{what} while the rollout is {state}")]
    Blocked {
        what: &'static str,
        state: &'static str,
    },
    /// Goals carry the total that they were decided for.
    #[error(
        "a command for cluster {cluster} was decided for {decided} nodes, and it should have {seen}"
    )]
    DesiredTotal {
        cluster: ClusterName,
        decided: u32,
        seen: u32,
    },
    /// The limit on nodes that are down.
    #[error(
        "a command leaves cluster {cluster} {left} of {ready} serving nodes; at least {least} must serve"
    )]
    Unavailability {
        cluster: ClusterName,
        ready: u32,
        left: u32,
        least: u32,
    },
    /// The limit on nodes above the desired total.
    #[error("a command gives cluster {cluster} {nodes} nodes; it may have {most}")]
    Surge {
        cluster: ClusterName,
        nodes: u32,
        most: u32,
    },
    /// The limit on nodes in one move.
    #[error("a command moves {moved} nodes of cluster {cluster}; a batch has at most {limit}")]
    BatchSize {
        cluster: ClusterName,
        moved: u32,
        limit: u32,
    },
    /// Shares sum to everything.
    #[error("the split of site {site} sums to {total} permille")]
    SplitSum { site: SiteName, total: u32 },
    /// No share exceeds what ready nodes carry.
    #[error("release {release} in cluster {cluster} gets {share} permille and can carry {most}")]
    Capacity {
        cluster: ClusterName,
        release: Digest,
        share: u32,
        most: u32,
    },
    /// Sites in flight.
    #[error("site {site} starts while {in_flight} of {limit} sites of wave {wave} are in flight")]
    InFlight {
        site: SiteName,
        wave: WaveName,
        in_flight: u32,
        limit: u32,
    },
    /// No new site and no new batch once the failure budget is exceeded.
    #[error("{what} of site {site} after {failed} failed sites; {tolerated} are tolerated")]
    Budget {
        what: &'static str,
        site: SiteName,
        failed: u32,
        tolerated: u32,
    },
    /// Waves start after those they come after.
    #[error("wave {wave} starts before wave {before} is done")]
    WaveOrder { wave: WaveName, before: WaveName },
    /// A wave that needs an approval starts after it.
    #[error("wave {wave} starts without its approval")]
    NotApproved { wave: WaveName },
    /// What a stage wants is done after its approval.
    #[error("site {site} does what stage {stage} wants without its approval")]
    StageNotApproved { site: SiteName, stage: String },
    /// Sites start in a running wave, once.
    #[error("site {site} starts out of order")]
    SiteOrder { site: SiteName },
    /// Only *pass* advances.
    #[error("{what} although gate {gate} ({}) has not passed for what is there now", phase.as_str())]
    NotPassed {
        what: &'static str,
        gate: GateName,
        phase: Phase,
    },
    /// A baseline is what served when the rollout started.
    #[error(
        "release {release} counts as the baseline of cluster {cluster}, where {beside} nodes run others, which have {elsewhere} permille of the traffic"
    )]
    WrongBaseline {
        cluster: ClusterName,
        release: Digest,
        beside: u32,
        elsewhere: u32,
    },
    /// A pass rests on enough samples.
    #[error("a pass of gate {gate} rests on {samples} samples; the policy wants {least}")]
    TooFewSamples {
        gate: GateName,
        samples: u32,
        least: u32,
    },
    /// A pass rests on what is new.
    #[error("a pass of gate {gate} rests on what is {age} old; the policy takes {limit}")]
    StaleEvidence {
        gate: GateName,
        age: DurationMs,
        limit: DurationMs,
    },
    /// Answers are left aside only where their subject has moved on.
    #[error("question {consultation} to gate {gate} was withdrawn, and nothing has changed")]
    WithdrawnForNothing {
        consultation: ConsultationId,
        gate: GateName,
    },
    /// A gate on trial decides nothing.
    #[error("site {site} fails by gate {gate}, which is on trial")]
    TrialDecides { site: SiteName, gate: GateName },
    /// A batch passes after it has settled.
    #[error("the last batch of site {site} has not settled")]
    NotSettled { site: SiteName },
    /// A wait ends when its time is over.
    #[error("the wait of site {site} ended {left} early")]
    TooEarly { site: SiteName, left: DurationMs },
    /// A site is done when all that serves is the release.
    #[error(
        "site {site} counts as updated, but {ready} of {desired} nodes of cluster {cluster} serve the release, and {elsewhere} permille go elsewhere"
    )]
    NotUpdated {
        site: SiteName,
        cluster: ClusterName,
        ready: u32,
        desired: u32,
        elsewhere: u32,
    },
    /// A soak is covered.
    #[error("site {site} has soaked {covered} of {wanted}")]
    Soak {
        site: SiteName,
        covered: DurationMs,
        wanted: DurationMs,
    },
    /// A wave is done when its sites are.
    #[error("wave {wave} goes on although site {site} has not finished")]
    Unfinished { wave: WaveName, site: SiteName },
    /// A site is back when its baseline serves.
    #[error(
        "site {site} counts as back, but {baseline} of {desired} nodes of cluster {cluster} serve the baseline, {new} run the release, and {elsewhere} permille go elsewhere"
    )]
    NotBack {
        site: SiteName,
        cluster: ClusterName,
        baseline: u32,
        desired: u32,
        new: u32,
        elsewhere: u32,
    },
    /// A command that may still arrive would change what counts as reached.
    #[error(
        "site {site} counts as {what}, and command {command} for cluster {cluster} may still take effect"
    )]
    InDoubt {
        site: SiteName,
        what: &'static str,
        cluster: ClusterName,
        command: CommandId,
    },
    /// An irreversible release is not rolled back.
    #[error("site {site} goes back from a release that is irreversible")]
    Irreversible { site: SiteName },
    /// Everything that has to go back does.
    #[error("site {site} was touched and is left out of the way back")]
    LeftBehind { site: SiteName },
    /// The end says what is so.
    #[error("the rollout ends as {end:?}, but {why}")]
    End { end: End, why: &'static str },
    /// Sites are tried again, left out or given up only where that makes sense.
    #[error("site {site} is {what}, and is not where that is possible")]
    OutOfPlace { what: &'static str, site: SiteName },
    /// Who decides for a gate is known.
    #[error("{what} is nobody's")]
    Nobody { what: &'static str },
    /// Plans are never edited; a change is a child of the plan before it.
    #[error(
        "a plan of generation {now} takes the place of generation {before}, of which it is no child"
    )]
    NotAChild { before: Generation, now: Generation },
    /// A child plan changes only what a change of the fleet may change.
    #[error("a child plan changes {what} `{name}`")]
    PlanEdited { what: &'static str, name: String },
    /// A cluster does not leave a plan silently.
    #[error("cluster {cluster} is not in the plan any more, and nobody said what became of it")]
    Forgotten { cluster: ClusterName },
    /// The nodes that carry a site's traffic follow its totals.
    #[error("site {site} is said to be carried by {said} nodes, and it is by {found}")]
    Demand {
        site: SiteName,
        said: u32,
        found: u32,
    },
    /// A site that soaks is decided again only if it misses nodes.
    #[error("site {site} is decided again and misses no node")]
    Reopened { site: SiteName },
    /// What has begun does not queue.
    #[error("a rollout that has begun queues")]
    QueuesLate,
    /// Nothing follows the end.
    #[error("{what} after the end")]
    AfterEnd { what: &'static str },
    /// Answers come from the component that has the part.
    #[error(
        "the answer to question {consultation} of the {part} is of a component that was swapped out"
    )]
    NotInForce {
        part: Part,
        consultation: ConsultationId,
    },
    /// Gates ask what they are granted.
    #[error(
        "gate {gate} can ask source {source_name}, which is not granted to component {component}"
    )]
    NotGranted {
        gate: GateName,
        source_name: SourceName,
        component: Box<Digest>,
    },
    /// Plugins read their own state.
    #[error("the {part} keeps a state that another plugin, or another version of it, wrote")]
    ForeignState { part: Part },
}
