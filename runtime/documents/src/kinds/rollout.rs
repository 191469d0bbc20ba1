//! `Rollout`: a policy, a fleet and a release.

use crate::fields::{Cx, Fields, Spot, spot};
use crate::node::Node;
use crate::shapes;
use crate::values;
use wavegate_model::ServiceName;

#[derive(Debug)]
pub(crate) struct RolloutDoc {
    pub(crate) name: Spot<String>,
    pub(crate) service: Spot<ServiceName>,
    pub(crate) policy: Spot<String>,
    pub(crate) fleet: Spot<String>,
    pub(crate) release: Spot<String>,
}

impl RolloutDoc {
    pub(super) fn read(cx: Cx<'_>, name: Option<Spot<String>>, spec: &Node) -> Option<Self> {
        let mut fields = Fields::open(cx, spec, &shapes::ROLLOUT)?;
        let service = fields.required("service", spot(values::name::<ServiceName>));
        let policy = fields.required("policy", spot(values::document_name));
        let fleet = fields.required("fleet", spot(values::document_name));
        let release = fields.required("release", spot(values::document_name));
        fields.finish()?;
        Some(Self {
            name: name?,
            service: service?,
            policy: policy?,
            fleet: fleet?,
            release: release?,
        })
    }
}
