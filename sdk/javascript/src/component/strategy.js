// Imported by the entry of a strategy's component: connects the log.

import * as log from "wavegate:plugin/log@0.2.0";
import { sendTo } from "../log.js";

const { write } = log.default ?? log;
sendTo((level, message) => write(level, message));
