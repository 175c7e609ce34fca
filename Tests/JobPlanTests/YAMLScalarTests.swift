import Identifiers
import JobPlan
import Testing

/// Plain scalars have their meaning in YAML 1.1 and mergekit, or are refused with the right notation.
@Suite struct YAMLScalarTests {
    private func weight(_ written: String) throws -> ParameterSetting? {
        try JobFileText(models: ["- {model: models/a, parameters: {weight: \(written)}}"]).spec()
            .tasks[0].parameters["weight"]
    }

    @Test(arguments: [
        ("1e-3", 0.001), ("\"0.5\"", 0.5), ("1_000", 1000), (".5", 0.5), ("+.5", 0.5), ("-.5", -0.5), ("5.", 5),
        ("1.5e3", 1500), ("1.5e+3", 1500), ("true", 1), ("no", 0), ("on", 1), ("\" 2 \"", 2), ("089", 89),
        ("1_0.5", 10.5),
    ])
    func `numbers are mergekit's`(written: String, value: Double) throws {
        #expect(try weight(written) == .scalar(value))
    }

    @Test(arguments: [("017", "15"), ("0x10", "16"), ("0b11", "3"), ("1:30", "90"), ("190:20:30.15", "685230.15")])
    func `numbers in other notations are refused with what they mean`(written: String, meant: String) {
        let text = JobFileText(models: ["- {model: models/a, parameters: {weight: \(written)}}"])
        #expect(
            problems(in: text.yaml) == [
                "job.yaml:4:44: \"weight\" is \(written), which YAML 1.1 reads as \(meant). Write \(meant), or the decimal "
                    + "number that you mean."
            ])
    }

    @Test(arguments: ["0o17", "\"0x10\"", ".inf", ".nan", "nan", "inf", "e5", "_1", "''", "1:99"])
    func `what is no finite number is refused`(written: String) {
        let text = JobFileText(models: ["- {model: models/a, parameters: {weight: \(written)}}"])
        #expect(problems(in: text.yaml).count == 1)
    }

    @Test(arguments: [
        ("yes", true), ("Yes", true), ("ON", true), ("1", true), ("1.0", true), ("\"yes\"", true), ("y", true),
        ("no", false), ("off", false), ("Off", false), ("0", false), ("FALSE", false), ("\"f\"", false),
    ])
    func `truths are mergekit's`(written: String, truth: Bool) throws {
        let spec = try JobFileText(rest: ["parameters: {normalize: \(written)}"]).spec()
        #expect(spec.parameters["normalize"] == .scalar(truth ? 1 : 0))
        #expect(try JobFileText(rest: ["kfac: {packed: \(written)}"]).spec().curvature.storesPackedTriangles == truth)
    }

    @Test func `a byte order mark is no part of the text`() throws {
        #expect(problems(in: "\u{FEFF}" + JobFileText().yaml) == [])
    }

    @Test func `null is the same as leaving a key of mergekit out`() throws {
        let rest = [
            "parameters: ~", "dtype: null", "out_dtype:", "tokenizer_source: null", "slices: []", "modules: null",
            "chat_template: ~", "tokenizer: null",
        ]
        #expect(try JobFileText(models: ["- {model: models/a, parameters: null}"], rest: rest).spec().tasks.count == 1)
    }

    @Test func `merge keys give way to a mapping's own keys and to earlier ones`() throws {
        let models = [
            "- &first {model: models/a, parameters: {weight: 0.5}}",
            "- {<<: *first, name: second, model: models/b}",
            "- {<<: [{name: third}, *first], model: models/c}",
        ]
        let tasks = try JobFileText(models: models).spec().tasks
        #expect(tasks.map(\.name) == ["a", "second", "third"])
        #expect(tasks.map(\.parameters["weight"]) == [.scalar(0.5), .scalar(0.5), .scalar(0.5)])
        #expect(tasks.map(\.model?.value) == ["models/a", "models/b", "models/c"])
        #expect(
            problems(in: JobFileText(models: ["- {model: a, <<: text}"]).yaml) == [
                "job.yaml:4:20: a merge key (\"<<\") in a model entry must name a mapping, or a list of mappings."
            ])
    }

    @Test func `parameters of other methods are noted, not refused`() throws {
        let spec = try JobFileText(
            models: ["- {model: a, parameters: {density: 0.5, lambda: 2}}"], rest: ["parameters: {rescale: true}"]
        ).spec()
        #expect(
            spec.notices.map(\.description) == [
                "job.yaml:4:29: \"density\" has no effect in a model's \"parameters\", as in mergekit. Remove it.",
                "job.yaml:4:43: \"lambda\" has no effect in a model's \"parameters\", as in mergekit. Remove it.",
                "job.yaml:5:14: \"rescale\" has no effect in \"parameters\", as in mergekit. Remove it.",
            ])
    }
}
