public import JSONText

/// Reports of jobs that never ran, with values by formula.
struct SampleReport {
    var tasks = ["alpha", "beta", "gamma"]
    var layers = ["blocks.0.fc1", "blocks.0.fc2", "head"]
    var method = "kfac"
    var hasCurvature = true
    var hasMerge = true
    var warnings: [String] = []
    var notices: [String] = []
    var jobFile = "merge_method: kfac\nmodels:\n  - model: alpha # <first>\n"

    /// I[i][j] of the task vector i and the task j, without its layers.
    static func interference(_ vector: Int, _ task: Int) -> Double {
        vector == task ? 4 * Double(task + 1) : 0.25 * Double(vector + 1) * Double(task + 1)
    }

    var value: JSONValue {
        let curved = hasCurvature ? layers : []
        return .object([
            .init("format", "kfacd.report/1"), .init("inputs", .array(inputs)), .init("options", options),
            .init("tasks", .array(tasks.map(task))),
            .init("layers", .array(curved.enumerated().map { layer($1, at: $0) })),
            .init("layers_without_rows", .array(hasCurvature ? ["unreached.weight"] : [])),
            .init("interference", hasCurvature ? interference : .null),
            .init("penalties", hasCurvature ? penalties : .null), .init("merge", hasMerge ? merge : .null),
            .init("notices", .array(notices.map { .string($0) })),
            .init("warnings", .array(warnings.map { .string($0) })), .init("run", run),
        ])
    }

    // MARK: - What went in

    private var inputs: [JSONValue] {
        let digest = String(repeating: "0123456789abcdef", count: 4)
        let files =
            [("/models/base.safetensors", "base", 63_928)]
            + tasks.map { ("/models/\($0).safetensors", "checkpoint of task \"\($0)\"", 64_000) }
        return files.map { path, role, bytes in
            .object([
                .init("path", .string(path)), .init("role", .string(role)), .init("bytes", .number("\(bytes)")),
                .init("header_sha256", .string(digest)), .init("sha256", .string(String(digest.reversed()))),
            ])
        }
    }

    private var options: JSONValue {
        .object([
            .init("merge_method", .string(method)), .init("normalize", .bool(false)), .init("lambda", .number("0.3")),
            .init("dtype", .null),
            .init("damping", .object([.init("rule", "relative"), .init("value", .number("0.1"))])),
            .init(
                "regularizer",
                .object([.init("form", "accumulated"), .init("targets", .array(tasks.map { .string($0) }))])),
            .init(
                "groups",
                .array([.object([.init("strength", .number("2.5")), .init("layers", .array(["head"]))])])),
            .init("outputs", .array(["merged", "report"])),
        ])
    }

    private func task(_ name: String) -> JSONValue {
        .object([
            .init("name", .string(name)), .init("samples", .number(hasCurvature ? "12800" : "0")),
            .init("curvature_weight", hasCurvature ? .number("128.0") : .null),
            .init("has_checkpoint", .bool(hasMerge)),
            .init("weight", name == tasks.last ? .null : .number("0.5")),
        ])
    }

    // MARK: - What was found

    private func layer(_ name: String, at position: Int) -> JSONValue {
        let isBlock = name == "norm.weight"
        let factors = isBlock ? [("F", 48)] : [("A", 25), ("B", 48)]
        var members: [JSONValue.Member] = [
            .init("name", .string(name)),
            .init("factors", .array(factors.map { factor($0, dimension: $1, at: position) })),
        ]
        if !isBlock {
            let errors = tasks.enumerated().map { task, name in
                JSONValue.Member(name, .number("\(0.01 * Double(position + 1) * Double(task + 1))"))
            }
            members.append(.init("accumulation_error", .object(errors)))
        }
        if position == 1 { members.append(.init("missing_curvature", .array([.string(tasks[0])]))) }
        return .object(members)
    }

    private func factor(_ side: String, dimension: Int, at position: Int) -> JSONValue {
        let traces = tasks.enumerated().map { JSONValue.Member($1, .number("\(20.5 + Double($0))")) }
        let health = JSONValue.object([
            .init("attempts", .number(position == 0 ? "2.0" : "1.0")), .init("clamped", .number("0.0")),
            .init("condition", .number(position == 2 ? "3.5e6" : "135.8")), .init("damping", .number("0.0940")),
            .init("damping_used", .number(position == 0 ? "0.94" : "0.0940")),
            .init("largest_eigenvalue", .number("12.5")), .init("mean_eigenvalue", .number("0.94")),
            .init("rank", .number("17.25")), .init("smallest_eigenvalue", .number("0.00002")),
        ])
        return .object([
            .init("side", .string(side)), .init("dimension", .number("\(dimension)")),
            .init("diagonal", .bool(side == "A" && position == 1)), .init("traces", .object(traces)),
            .init("health", .object([.init(tasks[0], health)])),
        ])
    }

    private var interference: JSONValue {
        let entries = tasks.indices.map { vector in tasks.indices.map { Self.interference(vector, $0) } }
        func matrix(_ text: (Int, Int) -> Double) -> JSONValue {
            .array(entries.indices.map { row in .array(entries.indices.map { .number("\(text(row, $0))") }) })
        }
        let names = JSONValue.array(tasks.map { .string($0) })
        // The second layer has three times the part of every other one.
        let count = Double(layers.count + 2)
        return .object([
            .init("task_vectors", names), .init("tasks", names), .init("matrix", matrix { entries[$0][$1] }),
            .init("normalized", matrix { entries[$0][$1] / entries[$1][$1] }),
            .init(
                "layers",
                .object(
                    layers.count > 100
                        ? []
                        : layers.enumerated().map { position, name in
                            .init(name, matrix { entries[$0][$1] * (position == 1 ? 3 : 1) / count })
                        })),
        ])
    }

    private var penalties: JSONValue {
        .object(
            tasks.map { task in
                .init(task, .object([.init(layers[0], .number("0.5")), .init(layers[1], .number("2.25"))]))
            })
    }

    private var merge: JSONValue {
        let models = tasks.enumerated().map { position, name in
            JSONValue.Member(
                name,
                .object([
                    .init("merged", .number("48")), .init("differing", .number("\(47 - position)")),
                    .init("unmatched", .number(position == 0 ? "7" : "0")),
                    .init("unmatched_names", .array(position == 0 ? ["lora.a", "lora.b"] : [])),
                ]))
        }
        let health = (hasCurvature ? layers : []).enumerated().map { position, name in
            JSONValue.Member(
                name,
                .object([
                    .init("merged_norm", .array([.number("\(0.8 + 0.01 * Double(position))")])),
                    .init("mean_norm", .array([.number("1.0")])),
                    .init("damping", .array([.number("0.25"), .number("0.5")])),
                    .init("damping_used", .array([.number("0.25"), .number("0.5")])),
                    .init("mean_eigenvalue", .array([.number("2.5"), .number("0.125")])),
                ]))
        }
        return .object([
            .init("method", .string(method)), .init("merged_by_weighted_mean", .array(["embed.weight"])),
            .init("merged_with_factors", .array(layers.map { .string("\($0).weight") })),
            .init(
                "tensors",
                .object([
                    .init("changed", .array(layers.map { .string("\($0).weight") } + ["embed.weight"])),
                    .init("unchanged", .array(["frozen.weight"])), .init("copied", .array(["position_ids"])),
                    .init("differing", .object([.init("position_ids", .array([.string(tasks[0])]))])),
                ])),
            .init("models", .object(models)),
            .init("non_finite", .object([.init("base", .object([.init("embed.weight", .number("3"))]))])),
            .init("copied", .object([.init("not_floating_point", .array(["position_ids"]))])),
            .init("tied", .object([.init(tasks[0], .object([.init("lm_head.weight", "embed.weight")]))])),
            .init("files", .object([.init("copied", .array(["config.json"])), .init("left_out", .array([]))])),
            .init("health", .object(health)),
        ])
    }

    // MARK: - How it went

    private var run: JSONValue {
        func stage(_ units: Int, _ elapsed: Double, _ kernels: Double) -> JSONValue {
            .object([
                .init("units", .number("\(units)")), .init("elapsed_seconds", .number("\(elapsed)")),
                .init("kernel_seconds", .number("\(kernels)")),
            ])
        }
        return .object([
            .init("kfacd", "kfacd 0.1.0"),
            .init("stages", .object([.init("factor", stage(24, 150, 120.5)), .init("merge", stage(3, 50, 0))])),
            .init(
                "units_by_executor", .object([.init("coordinator", .number("3")), .init("worker-1", .number("24"))])),
            .init(
                "numeric_regimes",
                .array([
                    .object([
                        .init("kernels", "OpenBLAS 0.3.21 Zen"), .init("elements", "float32"),
                        .init("units", .object([.init("factor", .number("24"))])),
                    ])
                ])),
            .init("job_file", .string(jobFile)),
        ])
    }
}

extension SampleReport {
    /// A job with curvature and a merge.
    static let small = SampleReport(
        layers: ["blocks.0.fc1", "blocks.0.fc2", "head", "norm.weight"],
        warnings: [
            "the damping of 1 of 8 factors was raised above what was asked for: \"blocks.0.fc1\" (0.094 to 0.94)."
        ],
        notices: ["the head of \"alpha\" is tied, and the base’s is not."])

    /// Eight tasks with long names, also from right to left, and with markup.
    static let long: SampleReport = {
        let names = [
            "satellite-imagery-land-cover-classification-2026", "عربي-تصنيف-الصور-الطبية-والأشعة",
            "<script>alert(1)</script>",
            "handwritten_digits_from_historical_census_records", "זיהוי-כתב-יד-עברי-מכתבי-יד-עתיקים", "x",
            String(repeating: "a-very-long-name/", count: 30), "traffic\u{202E}signs & \"quotes\" 'too'",
        ]
        let layers = (0..<48).map { "model.language_model.layers.\($0).mixture_of_experts.experts[3].down_projection" }
        return SampleReport(
            tasks: names, layers: layers, warnings: [String(repeating: "unbroken", count: 90), "<b>bold</b>"],
            jobFile: "# \(String(repeating: "comment ", count: 60))\n" + String(repeating: "é", count: 30_000))
    }()

    /// A merge without curvature.
    static let plain = SampleReport(method: "task_arithmetic", hasCurvature: false)

    /// Factors without a merge.
    static let curvature = SampleReport(hasMerge: false)
}

extension JSONValue: ExpressibleByStringLiteral {
    /// A string of a sample.
    public init(stringLiteral text: String) { self = .string(text) }
}
