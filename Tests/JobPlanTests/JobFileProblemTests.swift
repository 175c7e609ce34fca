import Identifiers
import JobPlan
import TaskArithmetic
import TestSupport
import Testing

/// Problems of a job file's form: one test for each message, with the whole message.
@Suite struct JobFileProblemTests {
    private static let known =
        "Known keys: merge_method, base_model, models, slices, modules, parameters, dtype, out_dtype, "
        + "tokenizer_source, tokenizer, kfac, ignore, allow_config_differences, allow_unchanged, non_finite, "
        + "split_fused, mismatched_shapes, checkpoint, outputs, output."

    private func expect(
        _ text: JobFileText,
        _ problem: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(problems(in: text.yaml) == [problem], sourceLocation: sourceLocation)
    }

    // MARK: - The file as YAML

    @Test(arguments: ["", "# nothing\n", "- a\n- b\n", "just a text\n", "null\n"])
    func `a file without keys is told what is expected`(yaml: String) {
        #expect(
            problems(in: yaml) == [
                "job.yaml: the file is not a mapping of keys to values; expected \"merge_method: …\", "
                    + "\"base_model: …\", \"models: …\" and \"output: …\"."
            ]
        )
    }

    @Test func `what is not YAML is located`() {
        #expect(
            problems(in: "merge_method: [task_arithmetic\nbase_model: x\n") == [
                "job.yaml:2:11: not valid YAML: did not find expected ',' or ']'."
            ]
        )
        #expect(
            problems(in: "models:\n\t- a\n") == [
                "job.yaml:2:1: not valid YAML: found character that cannot start any token."
            ]
        )
        #expect(
            problems(in: "models: *nobody\n") == [
                "job.yaml:1:9: not valid YAML: found undefined alias. A name that begins with \"!\" or \"*\" needs quotes: "
                    + "\"*nobody\"."
            ])
    }

    @Test func `a key that stands twice is located`() {
        #expect(
            problems(in: JobFileText(rest: ["dtype: float32", "dtype: float16"]).yaml) == [
                "job.yaml:6:1: this mapping has the key \"dtype\" twice. Remove one of them."
            ]
        )
        #expect(
            problems(in: JobFileText(models: ["- {model: a, name: x, name: y}"]).yaml) == [
                "job.yaml:4:16: this mapping has the key \"name\" twice. Remove one of them."
            ]
        )
    }

    @Test func `two files in one are refused`() {
        #expect(
            problems(in: JobFileText().yaml + "---\nmore: 1\n") == [
                "job.yaml:7:1: not valid YAML: but found another document."
            ]
        )
    }

    // MARK: - Keys

    @Test func `a misspelt key is located and the nearest one is named`() {
        expect(
            JobFileText(rest: ["ouputs: [merged]"]),
            "job.yaml:6:1: unknown key \"ouputs\" in the job. Did you mean \"outputs\"? \(Self.known)"
        )
    }

    @Test func `an unknown key that is near nothing is told what is known`() {
        expect(
            JobFileText(rest: ["random_seed_for_dropout: 3"]),
            "job.yaml:6:1: unknown key \"random_seed_for_dropout\" in the job. \(Self.known)"
        )
    }

    @Test(arguments: [
        ("chat_template", "auto", "Edit the tokenizer's files in the merged directory instead.")
    ])
    func `what mergekit offers and we do not is refused by name`(key: String, value: String, advice: String) {
        expect(
            JobFileText(rest: ["\(key): \(value)"]),
            "job.yaml:6:1: \"\(key)\" is not supported in the job. \(advice)"
        )
    }

    @Test func `unknown keys below the top are told where they stand`() {
        expect(
            JobFileText(models: ["- {model: a, weigth: 1}"]),
            "job.yaml:4:16: unknown key \"weigth\" in a model entry. Known keys: model, name, captures, factors, "
                + "rename, curvature_weight, parameters."
        )
        expect(
            JobFileText(models: ["- {model: a, parameters: {wieght: 1}}"]),
            "job.yaml:4:29: unknown key \"wieght\" in a model's \"parameters\". Did you mean \"weight\"? "
                + "Known keys: weight."
        )
        expect(
            JobFileText(rest: ["parameters: {sparsity: 0.5}"]),
            "job.yaml:6:14: unknown key \"sparsity\" in \"parameters\". Known keys: weight, normalize, lambda, int8_mask."
        )
        expect(
            JobFileText(rest: ["kfac: {dampening: 1}"]),
            "job.yaml:6:8: unknown key \"dampening\" in \"kfac\". Did you mean \"damping\"? Known keys: layers, "
                + "normalization, damping, precision, regularizer, groups, exact_probes, interference, input_digests, "
                + "packed, compression, missing_curvature, layout, diagonal."
        )
        expect(
            JobFileText(rest: ["kfac: {damping: {values: 1}}"]),
            "job.yaml:6:18: unknown key \"values\" in \"damping\". Did you mean \"value\"? Known keys: rule, value."
        )
        expect(
            JobFileText(rest: ["kfac: {regularizer: {rang: 4}}"]),
            "job.yaml:6:22: unknown key \"rang\" in \"regularizer\". Did you mean \"rank\"? Known keys: form, rank, "
                + "ranks, floor, scale, balance, one_dimensional, targets."
        )
        expect(
            JobFileText(models: ["- {model: a, parameters: {weight: [{filtre: mlp, value: 1}]}}"]),
            "job.yaml:4:39: unknown key \"filtre\" in a filtered \"weight\". Did you mean \"filter\"? "
                + "Known keys: filter, value."
        )
    }

    @Test func `a key that is no plain word is located`() {
        #expect(
            problems(in: JobFileText(rest: ["? [a, b]", ": 1"]).yaml) == [
                "job.yaml:6:3: a key of the job must be a plain word."
            ]
        )
    }

    @Test func `missing keys are reported together`() {
        #expect(
            problems(in: "dtype: float32\n") == [
                "job.yaml:1:1: the key \"merge_method\" is missing.",
                "job.yaml:1:1: the key \"models\" is missing.",
                "job.yaml:1:1: the key \"base_model\" is missing.", "job.yaml:1:1: the key \"output\" is missing.",
            ]
        )
    }

    @Test func `all problems of a file are reported together, in the order of reading`() {
        let text = JobFileText(
            method: "tiles",
            models: ["- {model: models/a, name: ../b}", "- {factors: f}"],
            rest: ["dtype: int8", "kfac: {layers: [], packed: perhaps}", "outputs: [mergd]", "unknown: 1"]
        )
        #expect(
            problems(in: text.yaml).map { $0.prefix { $0 != " " } } == [
                "job.yaml:9:1:", "job.yaml:1:15:", "job.yaml:4:29:", "job.yaml:5:5:", "job.yaml:7:16:",
                "job.yaml:7:28:",
                "job.yaml:8:11:", "job.yaml:6:8:",
            ]
        )
    }

    // MARK: - Values

    @Test func `an unknown merge method is told the known ones`() {
        let known = MergeMethod.all.map(\.name).joined(separator: ", ")
        expect(
            JobFileText(method: "task_arithmatic"),
            "job.yaml:1:15: \"merge_method\" must be one of \(known), not "
                + "\"task_arithmatic\". Did you mean \"task_arithmetic\"?"
        )
        expect(
            JobFileText(method: "ensemble"),
            "job.yaml:1:15: \"merge_method\" must be one of \(known), not \"ensemble\"."
        )
        expect(
            JobFileText(method: "[kfac]"),
            "job.yaml:1:15: \"merge_method\" must be one of \(known), not \"\"."
        )
    }

    @Test(arguments: [
        ("dtype: int8", "job.yaml:6:8: \"dtype\" must be one of bfloat16, float16, float32, float64, not \"int8\"."),
        (
            "out_dtype: bfloat61",
            "job.yaml:6:12: \"out_dtype\" must be one of bfloat16, float16, float32, float64, not \"bfloat61\". "
                + "Did you mean \"bfloat16\"?"
        ),
        (
            "outputs: merged",
            "job.yaml:6:10: \"outputs\" must be a list of factors, regularizer, inverses, merged, report."
        ),
        ("outputs: []", "job.yaml:6:10: \"outputs\" must be a list of factors, regularizer, inverses, merged, report."),
        (
            "outputs: [factor]",
            "job.yaml:6:11: \"outputs\" must be one of factors, regularizer, inverses, merged, report, not \"factor\". "
                + "Did you mean \"factors\"?"
        ),
        ("parameters: 1", "job.yaml:6:13: \"parameters\" must be a mapping of keys to values."),
        ("parameters: {normalize: maybe}", "job.yaml:6:25: \"normalize\" must be true or false."),
        (
            "parameters: {lambda: big}",
            "job.yaml:6:22: \"lambda\" must be a number, a list of numbers, or a list of {filter, value}."
        ),
        (
            "parameters: {weight: .nan}",
            "job.yaml:6:22: \"weight\" must be a number, a list of numbers, or a list of {filter, value}."
        ),
        (
            "parameters: {weight: {filter: mlp, value: 1}}",
            "job.yaml:6:22: \"weight\" must be a number, a list of numbers, or a list of {filter, value}."
        ),
        (
            "parameters: {weight: []}",
            "job.yaml:6:22: \"weight\" must be a number, a list of numbers, or a list of {filter, value}."
        ),
        ("parameters: {weight: [1, two]}", "job.yaml:6:26: \"weight\" must be a finite number."),
        ("parameters: {weight: [1, null]}", "job.yaml:6:26: \"weight\" must be a finite number."),
        (
            "parameters: {weight: [{value: 1}, 2]}",
            "job.yaml:6:35: a filtered \"weight\" must be a mapping of keys to values."
        ),
        (
            "parameters: {weight: [{filter: mlp}, {value: 1}]}",
            "job.yaml:6:23: a filtered \"weight\" needs \"value\": a number, a list of numbers, or null for that of the next "
                + "level."
        ),
        (
            "parameters: {weight: [{value: [{value: 1}]}]}",
            "job.yaml:6:32: \"weight\" must be a finite number."
        ),
        (
            "parameters: {weight: [{value: {value: 1}}]}",
            "job.yaml:6:31: \"weight\" must be a number or a list of numbers."
        ),
        ("kfac: yes", "job.yaml:6:7: \"kfac\" must be a mapping of keys to values."),
        (
            "kfac: {normalization: reduced}",
            "job.yaml:6:23: \"normalization\" must be one of tak, expand, reduce, not \"reduced\". "
                + "Did you mean \"reduce\"?"
        ),
        ("kfac: {layers: []}", "job.yaml:6:16: \"layers\" must not be an empty list. Leave the key out instead."),
        ("kfac: {layers: [fc, '']}", "job.yaml:6:21: \"layers\" must be a text that is not empty."),
        ("kfac: {damping: 0.1}", "job.yaml:6:17: \"damping\" must be a mapping of keys to values."),
        (
            "kfac: {damping: {rule: phi}}",
            "job.yaml:6:24: \"rule\" must be one of pi, relative, absolute, not \"phi\". Did you mean \"pi\"?"
        ),
        ("kfac: {damping: {value: inf}}", "job.yaml:6:25: \"value\" must be a finite number."),
        (
            "kfac: {damping: {rule: absolute}}",
            "job.yaml:6:17: the damping rule \"absolute\" needs a \"value\", which has the unit of the factors. Write one, "
                + "or use the rule \"relative\", whose value has none."
        ),
        (
            "kfac: {damping: {value: -0.5}}",
            "job.yaml:6:17: the damping value is -0.5; expected a number of at least 0."
        ),
        (
            "kfac: {regularizer: {form: best, rank: 2}}",
            "job.yaml:6:28: \"form\" must be one of accumulated, optimal, per_task, pseudo_rows, not \"best\"."
        ),
        (
            "kfac: {regularizer: {rank: 2}}",
            "job.yaml:6:28: \"rank\" belongs to the form \"optimal\"; the form is \"accumulated\". Remove \"rank\", or "
                + "write \"form: optimal\"."
        ),
        (
            "kfac: {regularizer: {form: per_task, rank: 2}}",
            "job.yaml:6:44: \"rank\" belongs to the form \"optimal\"; the form is \"per_task\". Remove \"rank\", or "
                + "write \"form: optimal\"."
        ),
        (
            "kfac: {regularizer: {form: optimal, rank: 0}}",
            "job.yaml:6:43: \"rank\" must be a whole number of at least 1."
        ),
        (
            "kfac: {regularizer: {form: optimal, rank: 1.5}}",
            "job.yaml:6:43: \"rank\" must be a whole number of at least 1."
        ),
        (
            "kfac: {regularizer: {scale: papr}}",
            "job.yaml:6:29: \"scale\" must be one of paper, mean, not \"papr\". Did you mean \"paper\"?"
        ),
        (
            "kfac: {regularizer: {targets: each}}",
            "job.yaml:6:31: \"targets\" must be leave_one_out, all, or a list of task names."
        ),
        (
            "kfac: {regularizer: {targets: []}}",
            "job.yaml:6:31: \"targets\" must not be an empty list. Leave the key out instead."
        ),
        (
            "kfac: {regularizer: {targets: [a, b, a]}}",
            "job.yaml:6:38: \"targets\" names the task \"a\" twice. Remove one of them."
        ),
        (
            "kfac: {input_digests: none}",
            "job.yaml:6:23: \"input_digests\" must be one of content, header, not \"none\"."
        ),
        (
            "kfac: {missing_curvature: ignore}",
            "job.yaml:6:27: \"missing_curvature\" must be one of refuse, renormalize, not \"ignore\"."
        ),
        (
            "kfac: {compression: int4}",
            "job.yaml:6:21: \"compression\" must be one of bf16, int8, block_diagonal, low_rank, not \"int4\". Did you "
                + "mean \"int8\"?"
        ),
        (
            "kfac: {compression: low_rank}",
            "job.yaml:6:21: the form \"low_rank\" needs its \"rank\", as in {form: low_rank, rank: 8}."
        ),
        (
            "kfac: {compression: {rank: 8}}",
            "job.yaml:6:21: \"compression\" needs a \"form\": one of bf16, int8, block_diagonal, low_rank."
        ),
        (
            "kfac: {compression: {form: int8, rank: 8}}",
            "job.yaml:6:40: \"rank\" does not belong to the form \"int8\". Remove it."
        ),
        (
            "kfac: {compression: {form: block_diagonal, blocks: 0}}",
            "job.yaml:6:52: \"blocks\" must be a whole number of at least 1."
        ),
        ("kfac: {compression: {form: int8, repair: 2}}", "job.yaml:6:42: \"repair\" must be true or false."),
        ("kfac: {exact_probes: 2}", "job.yaml:6:22: \"exact_probes\" must be true or false."),
    ])
    func `a value of another kind is located`(line: String, problem: String) {
        expect(JobFileText(rest: [line]), problem)
    }

    // MARK: - Models

    @Test(arguments: ["[]", "models/a", "{model: a}"])
    func `models are a list of entries`(models: String) {
        let yaml = "merge_method: kfac\nbase_model: b\nmodels: \(models)\noutput: o\n"
        #expect(problems(in: yaml) == ["job.yaml:3:9: \"models\" must be a list of at least one model entry."])
    }

    @Test(arguments: [
        ("- models/a", "job.yaml:4:5: a model entry must be a mapping of keys to values."),
        ("- {captures: c}", "job.yaml:4:5: a model entry without \"model\" needs a \"name\"."),
        (
            "- {name: a}",
            "job.yaml:4:5: task \"a\" has no \"model\", no \"captures\" and no \"factors\"; expected at least one."
        ),
        (
            "- {model: m/a, captures: c, factors: f}",
            "job.yaml:4:5: task \"a\" has both \"captures\" and \"factors\". Keep one of them."
        ),
        (
            "- {model: m/a, captures: c, curvature_weight: 0}",
            "job.yaml:4:5: \"curvature_weight\" of task \"a\" is 0.0; expected a number above 0."
        ),
        ("- {model: m/a, curvature_weight: many}", "job.yaml:4:36: \"curvature_weight\" must be a finite number."),
        ("- {model: [m/a], name: a}", "job.yaml:4:13: \"model\" must be a text that is not empty."),
        (
            "- {model: m/a, captures: []}",
            "job.yaml:4:28: \"captures\" must not be an empty list. Leave the key out instead."
        ),
        ("- {model: m/a, name: ''}", "job.yaml:4:24: \"name\" must be a text that is not empty."),
    ])
    func `a model entry that says too little or too much is located`(entry: String, problem: String) {
        #expect(problems(in: JobFileText(models: [entry]).yaml).first == problem)
    }

    @Test(arguments: ["a/b", "../a", "..", ".hidden", "a\\\\b", "a\\u0000b", "a\\nb", "a\\x7F"])
    func `a task name that cannot name a directory is refused`(name: String) throws {
        let found = problems(in: JobFileText(models: ["- {model: m, name: \"\(name)\"}"]).yaml)
        try #require(found.count == 1)
        #expect(found[0].hasPrefix("job.yaml:4:22: the task name \""))
        #expect(
            found[0].hasSuffix(
                "\" cannot name a directory; expected at most 200 bytes without a path separator or control character "
                    + "and without a leading dot."
            )
        )
    }

    @Test func `a task name may have 200 bytes and no more`() throws {
        let name = String(repeating: "n", count: 200)
        #expect(try JobFileText(models: ["- {model: m, name: \(name)}"]).spec().tasks[0].name.rawValue == name)
        #expect(problems(in: JobFileText(models: ["- {model: m, name: \(name)n}"]).yaml).count == 1)
    }

    @Test func `two tasks of one name are both located`() {
        for other in ["{model: b/final, name: final}", "model: a/final"] {
            expect(
                JobFileText(models: ["- model: a/final", "- model: c", "- \(other)"]),
                "job.yaml:6:5: two tasks are named \"final\"; the other stands at job.yaml:4:5. "
                    + "Give one of them another \"name\"."
            )
        }
    }

    /// "é" as one scalar and as two is one text to a reader, and one directory on some file systems.
    @Test func `two names that only their encoding tells apart are one name`() {
        expect(
            JobFileText(models: ["- {model: a, name: \"\\u00e9\"}", "- {model: b, name: \"e\\u0301\"}"]),
            "job.yaml:5:5: two tasks are named \"e\u{301}\"; the other stands at job.yaml:4:5. "
                + "Give one of them another \"name\"."
        )
    }
}

/// Job files come from clients, so none may crash the coordinator.
@Suite struct HostileJobFileTests {
    @Test(arguments: ["[", "{a: ", "- "])
    func `nesting without end is refused`(opening: String) {
        let yaml = "models: \(String(repeating: opening, count: 50_000))"
        #expect(!problems(in: yaml).isEmpty)
    }

    /// Each level names the level below nine times, so the expanded last level has 9^30 leaves.
    @Test func `aliases of aliases do not explode`() {
        var models = ["- {model: m0, parameters: {weight: &a0 [{value: 1}, {value: 1}]}}"]
        for level in 1...30 {
            let values = Array(repeating: "{value: *a\(level - 1)}", count: 9).joined(separator: ", ")
            models.append("- {model: m\(level), parameters: {weight: &a\(level) [\(values)]}}")
        }
        #expect(!problems(in: JobFileText(models: models).yaml).isEmpty)
    }

    @Test func `a mutated job file is read or refused, and never traps`() {
        let original = Array(
            JobFileText(
                models: ["- {model: m/a, captures: [c, d], parameters: {weight: [{filter: x, value: [1, 2]}]}}"],
                rest: ["kfac: {layers: ['b.*'], damping: {rule: pi, value: 1e-3}, regularizer: {targets: [a]}}"]
            ).yaml.utf8
        )
        forEachSeed(in: 0..<2000) { seed, random in
            let text = String(decoding: mutated(original, &random), as: UTF8.self)
            _ = problems(in: text)
        }
    }
}
