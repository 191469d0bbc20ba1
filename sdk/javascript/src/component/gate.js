// Imported by the entry of a gate's component: connects the log and the evidence.

import * as evidence from "wavegate:plugin/evidence@0.2.0";
import * as http from "wavegate:plugin/http@0.2.0";
import * as log from "wavegate:plugin/log@0.2.0";
import * as metrics from "wavegate:plugin/metrics@0.2.0";
import * as probes from "wavegate:plugin/probes@0.2.0";
import { connect } from "../host.js";
import { sendTo } from "../log.js";

const { write } = log.default ?? log;
sendTo((level, message) => write(level, message));
connect({
  evidence: evidence.default ?? evidence,
  http: http.default ?? http,
  metrics: metrics.default ?? metrics,
  probes: probes.default ?? probes,
});
