// Makes types from openapi.json and receivers from docs/receivers.md, checks types, and bundles the
// page into src/event_trigger/console/static, with the hash of its content in each name.
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";

const node = (...command) => execFileSync(process.execPath, command, { stdio: "inherit" });
node("node_modules/openapi-typescript/bin/cli.js", "openapi.json", "--output", "src/api/schema.d.ts");

// the receivers that tests/docs runs are those that the console shows
const found = readFileSync("../docs/receivers.md", "utf8").matchAll(
  /<!-- file: receiver\.(py|js|go) -->\n```\w+\n([^]*?)```/g,
);
const receivers = Object.fromEntries([...found].map(([, language, code]) => [language, code]));
const typed = "Record<\"py\" | \"js\" | \"go\", string>";
writeFileSync("src/views/receivers.ts", `export const RECEIVERS: ${typed} = ${JSON.stringify(receivers)};\n`);
node("node_modules/typescript/bin/tsc");

const out = "../src/event_trigger/console/static";
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const built = await build({
  entryPoints: ["src/main.tsx", "src/style.css"],
  outdir: `${out}/assets`,
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: true,
  legalComments: "none",
  metafile: true,
});

const nameOf = Object.fromEntries(
  Object.entries(built.metafile.outputs)
    .filter(([, made]) => made.entryPoint)
    .map(([path, made]) => [basename(made.entryPoint), basename(path)]),
);
// what the first script imports is asked for beside it, and not after it
const [first] = Object.values(built.metafile.outputs).filter((made) => made.entryPoint === "src/main.tsx");
const preloads = first.imports
  .filter(({ kind }) => kind === "import-statement")
  .map(({ path }) => `<link rel="modulepreload" href="{prefix}/console/assets/${basename(path)}" />\n    `);
const icon = encodeURIComponent(readFileSync("src/icon.svg", "utf8").trim());
const page = readFileSync("src/index.html", "utf8")
  .replace("{prefix}/console/assets/icon.svg", `data:image/svg+xml,${icon}`) // a request less
  .replace(/assets\/(main\.tsx|style\.css)/g, (_, name) => `assets/${nameOf[name]}`);
writeFileSync(`${out}/index.html`, page.replace('<script type="module"', (tag) => preloads.join("") + tag));

// of each package that is bundled
const packages = Object.keys(built.metafile.inputs).flatMap(
  (path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.slice(1) ?? [],
);
mkdirSync(`${out}/licences`);
for (const name of new Set(packages)) {
  cpSync(`node_modules/${name}/LICENSE`, `${out}/licences/${name.replace("/", "-")}.txt`);
}
