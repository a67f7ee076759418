/** How params may be called. */

/** A param's name; it becomes `OPSKIT_<NAME>` in scripts. */
export const PARAM_NAME = /^[a-z][a-z0-9_]*$/

/**
 * Words of Go templates that stand alone in braces: `{{range .Mounts}}…{{end}}`. They stay as they are, so no param may
 * be called so (pkg.go.dev/text/template, Actions).
 */
export const TEMPLATE_WORDS: readonly string[] = ['break', 'continue', 'else', 'end']
