import js from '@eslint/js'
import ts from 'typescript-eslint'

/** Rules that catch real defects: a promise nobody awaits, a case nobody handles. Layout belongs to prettier. */
export default ts.config(
  { ignores: ['node_modules/', 'dist/', 'backups/', 'coverage/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [ts.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrors: 'none' }],
      '@typescript-eslint/require-await': 'off',
      // Objects here are closures, not classes: their methods need no `this`, and taking one is how a reader is handed over.
      '@typescript-eslint/unbound-method': 'off',
      'no-control-regex': 'off',
      'no-restricted-exports': ['error', { restrictDefaultExports: { direct: true } }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'max-params': ['error', 4],
    },
  },
  // A row of a table is as long as what it tells.
  { files: ['test/**'], rules: { 'max-params': 'off' } },
  { files: ['*.config.ts', '*.config.js'], rules: { 'no-restricted-exports': 'off' } },
  { files: ['*.js'], extends: [ts.configs.disableTypeChecked] },
)
