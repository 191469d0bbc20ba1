export const BAD_CONFIG = "bad-config";
export const BAD_STATE = "bad-state";

/** Throw it when the plugin cannot answer: the host holds and asks again later. */
export class Failed extends Error {
  constructor(code, message, { retryable = false, details = [] } = {}) {
    super(message);
    this.name = "Failed";
    this.code = code;
    this.retryable = retryable;
    this.details = details;
  }
}
