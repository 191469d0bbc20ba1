package wavegate

import "fmt"

// LogWriter takes the lines of a plugin's log. Exports and tests set it; plugins need not.
var LogWriter = func(level, message string) {}

// Debugf writes a line of level debug to the plugin's log.
func Debugf(format string, arguments ...any) { LogWriter("debug", fmt.Sprintf(format, arguments...)) }

// Infof writes a line of level info to the plugin's log.
func Infof(format string, arguments ...any) { LogWriter("info", fmt.Sprintf(format, arguments...)) }

// Warnf writes a line of level warn to the plugin's log.
func Warnf(format string, arguments ...any) { LogWriter("warn", fmt.Sprintf(format, arguments...)) }

// Errorf writes a line of level error to the plugin's log.
func Errorf(format string, arguments ...any) { LogWriter("error", fmt.Sprintf(format, arguments...)) }
