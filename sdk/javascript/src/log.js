// The plugin's log. The host caps and cleans every line and keeps it with the call.

let write = () => {};

/** Says where lines go. The component and the harness call this; plugins need not. */
export function sendTo(writer) {
  write = writer;
}

export function debug(message) {
  write("debug", message);
}

export function info(message) {
  write("info", message);
}

export function warn(message) {
  write("warn", message);
}

export function error(message) {
  write("error", message);
}
