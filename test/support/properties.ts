/**
 * Property tests look at the same inputs in every run, so that a run says something about the code and not about its luck.
 * `FC_SEED=$RANDOM npm test` looks at others; what that finds becomes an example of its test.
 */
import { configureGlobal } from 'fast-check'

configureGlobal({ seed: Number(process.env['FC_SEED'] ?? 20261121) })
