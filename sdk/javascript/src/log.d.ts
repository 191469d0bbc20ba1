/** The plugin's log. The host caps and cleans every line and keeps it with the call. */
export function debug(message: string): void;
export function info(message: string): void;
export function warn(message: string): void;
export function error(message: string): void;
