import Foundation
import Identifiers
import JobPlan
import KroneckerFactors
import Laboratory
import SystemPackage
import TaskArithmetic
import Testing
import UnitOperations

struct CurvatureJobTests {
    private static let job = CurvatureJob(
        baseModel: "/models/base.safetensors",
        models: [
            .init(
                name: "fashion", checkpoint: "/models/fashion.safetensors",
                curvature: .captures("/captures/fashion.safetensors")),
            .init(name: "greek", curvature: .factors("/first/factors/greek")),
            .init(name: "hebrew", checkpoint: "/models/hebrew.safetensors"),
        ],
        method: .kfac, regularizer: .init(form: .perTask, scale: .mean, targets: .tasks(["greek"])),
        outputs: [.report, .merged, .regularizer], directory: "/out/first")

    @Test func `the job file says what the job is`() {
        #expect(
            Self.job.text == """
                # Written by kfaclab; kfacctl run "/out/first.yaml" runs it.
                merge_method: kfac
                base_model: "/models/base.safetensors"
                models:
                  - name: "fashion"
                    model: "/models/fashion.safetensors"
                    captures: "/captures/fashion.safetensors"
                  - name: "greek"
                    factors: "/first/factors/greek"
                  - name: "hebrew"
                    model: "/models/hebrew.safetensors"
                kfac:
                  normalization: expand
                  damping: {rule: relative, value: 0.1}
                  regularizer: {form: per_task, scale: mean, targets: ["greek"]}
                outputs: [regularizer, merged, report]
                output: "/out/first"

                """)
    }

    @Test func `the daemon's reader understands every key`() throws {
        let spec = try JobSpec(yaml: Self.job.text, fileName: "job.yaml")
        #expect(spec.method == .kfac)
        #expect(spec.tasks.map(\.name.rawValue) == ["fashion", "greek", "hebrew"])
        #expect(spec.tasks.map { $0.model?.value } == Self.job.models.map { $0.checkpoint?.string })
        #expect(spec.tasks[0].captures.map(\.value) == ["/captures/fashion.safetensors"])
        #expect(spec.tasks[1].factors.first?.value == "/first/factors/greek")
        #expect(!spec.tasks[2].hasCurvature)
        #expect(spec.curvature.normalization == .expand)
        #expect(spec.curvature.damping == DampingSpec(rule: .relative, value: 0.1))
        #expect(spec.curvature.regularizer.form == .perTask)
        #expect(spec.curvature.regularizer.scale == .mean)
        #expect(spec.outputs == [.regularizer, .merged, .report])
        #expect(spec.output.value == "/out/first")
    }

    @Test func `every method, form, scale, target and output is one that the daemon knows`() throws {
        for method in MergeMethod.all {
            var job = Self.job
            job.method = method
            #expect(try JobSpec(yaml: job.text, fileName: "job.yaml").method == method)
        }
        let forms: [(CurvatureJob.Form, String)] = [
            (.accumulated, "accumulated"), (.optimal(rank: 3), "optimal"), (.perTask, "per_task"),
        ]
        for (form, name) in forms {
            for scale in CurvatureJob.Scale.allCases {
                for targets in [CurvatureJob.Targets.leaveOneOut, .all, .tasks(["greek", "fashion"])] {
                    var job = Self.job
                    job.regularizer = .init(form: form, scale: scale, targets: targets)
                    let regularizer = try JobSpec(yaml: job.text, fileName: "job.yaml").curvature.regularizer
                    #expect(regularizer.form.rawValue == name)
                    #expect(regularizer.scale.rawValue == scale.rawValue)
                    #expect(form != .optimal(rank: 3) || regularizer.termCount == 3)
                }
            }
        }
        var job = Self.job
        job.outputs = Set(CurvatureJob.Output.allCases)
        #expect(try JobSpec(yaml: job.text, fileName: "job.yaml").outputs == Set(JobOutput.allCases))
    }

    @Test(
        arguments: [
            "with space", "quote\"s", "it's", "back\\slash", "colon: x", "# hash", "- dash", "{a: b}", "\u{E9}\u{65E5}",
            "tab\there", "line\nbreak", "\u{7F}\u{85}\u{9F}", "\u{2028}\u{FEFF}", "%percent", "&anchor", "!tag", "null",
        ])
    func `a path comes back from the job file as it was`(_ component: String) throws {
        var job = Self.job
        job.baseModel = FilePath("/models").appending(component)
        job.models[0].curvature = .captures(FilePath("/captures").appending(component))
        job.models[1].curvature = .factors(FilePath("/factors").appending(component))
        job.directory = FilePath("/out").appending(component)
        let spec = try JobSpec(yaml: job.text, fileName: "job.yaml")
        #expect(spec.baseModel.value == "/models/\(component)")
        #expect(spec.tasks[0].captures.map(\.value) == ["/captures/\(component)"])
        #expect(spec.tasks[1].factors.first?.value == "/factors/\(component)")
        #expect(spec.output.value == "/out/\(component)")
    }

    @Test func `wildcards in a capture's path are no pattern`() throws {
        var job = Self.job
        job.models[0].curvature = .captures("/captures/a*b?[c]\\d")
        let spec = try JobSpec(yaml: job.text, fileName: "job.yaml")
        #expect(spec.tasks[0].captures.map(\.value) == [#"/captures/a\*b\?\[c]\\d"#])
    }

    @Test func `relative paths start at the current directory and not at the job file`() throws {
        var job = Self.job
        job.baseModel = "models/../base.safetensors"
        let spec = try JobSpec(yaml: job.text, fileName: "job.yaml")
        #expect(spec.baseModel.value == FileManager.default.currentDirectoryPath + "/base.safetensors")
    }

    @Test func `outputs stand where the daemon writes them`() {
        #expect(Self.job.jobFile == "/out/first.yaml")
        #expect(Self.job.report == "/out/first/report.json")
        #expect(Self.job.merged == "/out/first/merged/model.safetensors")
        #expect(Self.job.factors(of: "greek") == "/out/first/factors/greek")
        #expect(Self.job.regularizer(for: "all") == "/out/first/regularizer/all/regularizer.safetensors")
    }
}
