// A consumer in JavaScript: onnxruntime.mjs WEIGHTS INPUT OUTPUT N HEIGHT WIDTH RUNTIME, the runtime's package as it is
// called in runs/node. Input and output are raw float32, (N, 1, Y, X).
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [weights, source, target, count, height, width, runtime] = process.argv.slice(2);
const modules = join(import.meta.dirname, "..", "..", "..", "runs", "node", "node_modules");
const { env, InferenceSession, Tensor } = createRequire(import.meta.url)(join(modules, runtime));
if (env.wasm) env.wasm.numThreads = 1;

const session = await InferenceSession.create(readFileSync(weights));
const image = new Float32Array(new Uint8Array(readFileSync(source)).buffer);
const { denoised } = await session.run({ noisy: new Tensor("float32", image, [count, 1, height, width].map(Number)) });
writeFileSync(target, Buffer.from(denoised.data.buffer, denoised.data.byteOffset, denoised.data.byteLength));
console.log(JSON.parse(readFileSync(join(modules, runtime, "package.json"))).version);
