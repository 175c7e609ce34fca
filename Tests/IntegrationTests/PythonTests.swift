import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The reference implementation of safetensors reads our files, and they hold what numpy computes from the
    /// captures.
    @Suite(.enabled(if: Python.hasSafetensors, Python.reason)) struct PythonTests {
        @Test(arguments: ["tak", "expand", "reduce"])
        func `numpy agrees with every file of a run`(normalization: String) async throws {
            let model = try SmallModel()
            model.job.method = "kfac"
            model.job.curvature = ["normalization: \(normalization)", "damping: {rule: relative, value: 0.1}"]
            try model.write()
            let output = try await model.run(workers: 2)
            let result = try Python.run(Self.script, model.directory.path, output, normalization)
            #expect(result.status == 0, "\(result.output)")
            #expect(result.output == "12 files\n")
        }

        /// An independent float64 computation of everything, by the equations of the design.
        private static let script = """
            import glob, json, os, sys
            import numpy as np
            from safetensors import safe_open
            from safetensors.numpy import load_file

            root, out, normalization = sys.argv[1:]
            tasks, layers = ["alpha", "beta", "gamma"], ["fc", "k", "q", "v"]
            N, R, M, gamma = 12, 3, 2, 0.1
            biased = {"q": True, "k": True, "v": True, "fc": False}
            checked = 0

            def metadata(path):
                with safe_open(path, "np") as file: return file.metadata()

            def load(path):
                return {k: v.astype(np.float64) for k, v in load_file(path).items() if v.dtype != np.int64}

            def close(path, name, found, expected, tolerance=1e-5):
                assert found.shape == expected.shape, (path, name, found.shape, expected.shape)
                distance = np.linalg.norm(found - expected) / np.linalg.norm(expected)
                assert distance < tolerance, (path, name, distance)

            def check(path, expected, tolerance=1e-5):
                global checked
                found = load(path)
                assert sorted(found) == sorted(expected), (path, sorted(found))
                for name in expected: close(path, name, found[name], expected[name], tolerance)
                checked += 1

            def factors(capture):
                result = {}
                for layer in layers:
                    a, g = capture[layer + ".input"], capture[layer + ".output_grad"]
                    if biased[layer]: a = np.hstack([a, np.ones((len(a), 1))])
                    a, g = a.reshape(N, R, -1), g.reshape(M, N, R, -1)
                    if normalization == "reduce":
                        a, g = a.mean(1), g.sum(2).reshape(M * N, -1)
                        result[layer + ".A"], result[layer + ".B"] = a.T @ a / N, g.T @ g / (N * M)
                    else:
                        a, g = a.reshape(N * R, -1), g.reshape(M * N * R, -1)
                        result[layer + ".A"] = a.T @ a / (N * R)
                        result[layer + ".B"] = g.T @ g / (N * M * (R if normalization == "tak" else 1))
                s = capture["norm.weight.grad"]
                result["norm.weight.F"] = s.T @ s / (N * M)
                return result

            def damped(matrix, mean):
                return matrix + gamma * np.trace(mean) / len(mean) * np.eye(len(mean))

            def damped_inverse(matrix):
                return np.linalg.inv(damped(matrix, matrix))

            def summed(sets):
                weight = lambda name: 1 if name.endswith(".B") else 1 / len(sets)
                return {name: sum(weight(name) * s[name] for s in sets) for name in sets[0]}

            known = {t: factors(load(f"{root}/captures/{t}.safetensors")) for t in tasks}
            for t in tasks:
                path = f"{out}/factors/{t}/factors.safetensors"
                check(path, known[t])
                assert metadata(path)["format"] == "kfacd.factors/1" and metadata(path)["task"] == t
                assert metadata(path)["normalization"] == normalization
                others = summed([known[o] for o in tasks if o != t])
                path = f"{out}/regularizer/{t}/regularizer.safetensors"
                check(path, others)
                assert metadata(path)["format"] == "kfacd.regularizer/1" and metadata(path)["target"] == t
                path = f"{out}/inverses/{t}/inverses.safetensors"
                check(path, {name + "_inv": damped_inverse(m) for name, m in others.items()}, 1e-4)
                assert metadata(path)["format"] == "kfacd.inverses/1"

            base = load(f"{root}/base.safetensors")
            moved = {t: load(f"{root}/checkpoints/{t}.safetensors") for t in tasks}
            vectors = {t: {k: v - base[k] for k, v in moved[t].items()} for t in tasks}

            def block(vector, layer):
                weight = vector[layer + ".weight"]
                return np.hstack([weight, vector[layer + ".bias"][:, None]]) if biased[layer] else weight

            def penalty(curvature, vector, name):
                if name == "norm.weight":
                    return vector[name] @ curvature[name + ".F"] @ vector[name]
                d = block(vector, name)
                return np.trace(curvature[name + ".B"] @ d @ curvature[name + ".A"] @ d.T)

            total, merged = summed([known[t] for t in tasks]), dict(base)
            for layer in layers:
                A, B = total[layer + ".A"], total[layer + ".B"] / 3
                side = lambda t, name, mean: damped(known[t][layer + name], mean)
                pull = lambda t: side(t, ".B", B) @ block(vectors[t], layer) @ side(t, ".A", A)
                right = sum(pull(t) for t in tasks) / 3
                delta = damped_inverse(B) @ right @ damped_inverse(A)
                width = base[layer + ".weight"].shape[1]
                merged[layer + ".weight"] = base[layer + ".weight"] + delta[:, :width]
                if biased[layer]: merged[layer + ".bias"] = base[layer + ".bias"] + delta[:, width]
            F = total["norm.weight.F"]
            right = sum(damped(known[t]["norm.weight.F"], F) @ vectors[t]["norm.weight"] for t in tasks) / 3
            merged["norm.weight"] = base["norm.weight"] + damped_inverse(F) @ right
            merged["embed.weight"] = base["embed.weight"] + sum(v["embed.weight"] for v in vectors.values()) / 3
            path = f"{out}/merged/model.safetensors"
            check(path, merged, 1e-4)
            assert (load_file(path)["steps"] == load_file(f"{root}/base.safetensors")["steps"]).all()
            assert metadata(path)["made_by"] == "a test"

            report = json.load(open(f"{out}/report.json"))
            checked += 1
            blocks = [layer["name"] for layer in report["layers"]]
            assert blocks == layers[:1] + ["k", "norm.weight", "q", "v"], blocks
            for i, t in enumerate(tasks):
                others = summed([known[o] for o in tasks if o != t])
                for name in blocks:
                    found, expected = report["penalties"][t][name], penalty(others, vectors[t], name)
                    assert abs(found - expected) < 1e-4 * expected, (t, name, found, expected)
                for j, other in enumerate(tasks):
                    expected = sum(penalty(known[other], vectors[t], name) for name in blocks)
                    found = report["interference"]["matrix"][i][j]
                    assert abs(found - expected) < 1e-4 * expected, (t, other, found, expected)
            for row in report["layers"]:
                if row["name"] == "norm.weight": continue
                for t, found in row["accumulation_error"].items():
                    sets = [known[o] for o in tasks if o != t]
                    exact = sum(np.kron(s[row["name"] + ".B"], s[row["name"] + ".A"]) for s in sets) / len(sets)
                    ours = summed(sets)
                    ours = np.kron(ours[row["name"] + ".B"], ours[row["name"] + ".A"])
                    scale = (exact * ours).sum() / (ours * ours).sum()
                    expected = np.linalg.norm(exact - scale * ours) / np.linalg.norm(exact)
                    assert abs(found - expected) < 1e-4, (row["name"], t, found, expected)
            # The page of the report beside it.
            assert os.path.isfile(f"{out}/report.html")
            checked += 1
            files = [f for f in glob.glob(out + "/**", recursive=True) if os.path.isfile(f)]
            assert len(files) == checked, (checked, files)
            print(len(files), "files")
            """
    }
}
