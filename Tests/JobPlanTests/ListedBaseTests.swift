import Identifiers
import JobPlan
import Testing

/// The base among the models, and jobs without one.
@Suite struct ListedBaseTests {
    private let model = SmallModel()

    @Test func `linear needs no base: the first model gives the layout and counts with its weight`() throws {
        let yaml = """
            merge_method: linear
            models: [{model: m/a, parameters: {weight: 2}}, {model: m/b}]
            output: out
            """
        let spec = try JobSpec(yaml: yaml, fileName: "job.yaml")
        #expect(spec.baseModel.value == "m/a")
        #expect(spec.tasks.map(\.name) == ["b"])
        let settings = MergeSettings(spec: spec, base: model.base)
        #expect(settings.baseWeight(tensor: "embed.weight") == 2)
        #expect(spec.allNotices(against: JobInventory(base: model.base)) == [])
    }

    @Test(arguments: ["weighted_average", "task_arithmetic", "kfac"])
    func `other methods need a base`(method: String) {
        let yaml = "merge_method: \(method)\nmodels: [{model: a}, {model: b}]\noutput: out\n"
        #expect(problems(in: yaml) == ["job.yaml:1:1: the key \"base_model\" is missing."])
    }

    @Test func `curvature needs a base under linear too`() {
        let yaml = "merge_method: linear\nmodels: [{model: a, captures: c}]\noutput: out\n"
        #expect(problems(in: yaml) == ["job.yaml:1:1: the key \"base_model\" is missing."])
    }

    @Test func `an unlisted base counts in linear only with a weight for all`() throws {
        let unlisted = try JobFileText(method: "linear").spec()
        #expect(MergeSettings(spec: unlisted, base: model.base).baseWeight(tensor: "embed.weight") == nil)
        #expect(
            unlisted.allNotices(against: JobInventory(base: model.base)).map(\.description) == [
                "job.yaml:2:13: the base is not listed among the models, so it does not count in the average and only "
                    + "gives the layout. List it to let it count."
            ])
        let weighted = try JobFileText(method: "linear", rest: ["parameters: {weight: 0.5}"]).spec()
        #expect(MergeSettings(spec: weighted, base: model.base).baseWeight(tensor: "embed.weight") == 0.5)
    }

    @Test func `an entry whose files are the base's is the base, and stays a task where it has curvature`() throws {
        let spec = try JobFileText(models: ["- model: ./base", "- {model: b2, captures: c}", "- model: models/a"])
            .spec()
        var inventory = model.inventory(for: spec)
        inventory.baseTasks = ["base"]
        var settled = spec.settlingListedBase(in: &inventory)
        #expect(settled.problems == [])
        #expect(settled.spec.tasks.map(\.name) == ["b2", "a"])
        #expect(settled.spec.listedBase?.name == "base")
        inventory.baseTasks = ["b2"]
        settled = spec.settlingListedBase(in: &inventory)
        #expect(settled.spec.tasks.map(\.model?.value) == ["./base", nil, "models/a"])
        inventory.baseTasks = ["base", "b2"]
        #expect(
            spec.settlingListedBase(in: &inventory).problems.map(\.description) == [
                "job.yaml:5:5: this entry is the base, which is listed at job.yaml:4:5 already. Remove one of them."
            ])
    }

    @Test func `kfac cannot count a base without factors`() throws {
        let spec = try JobFileText(
            method: "kfac", models: ["- model: models/base", "- {model: models/a, captures: a}"]
        ).spec()
        #expect(
            spec.problems(against: model.inventory(for: spec)).map(\.description) == [
                "job.yaml:4:5: the merge method \"kfac\" needs the factors of every merged model, but the base, which is "
                    + "listed here, has neither \"captures\" nor \"factors\". Remove the entry: a base without factors "
                    + "cannot count."
            ])
    }
}
