import Laboratory
import LinearAlgebra
import ReferenceModel
import StudyReport
import SystemPackage
import TestSupport
import Testing

@testable import Study

struct ContenderTests {
    // MARK: - Names

    @Test(
        arguments: [
            ("kronecker", "kronecker", [100]),
            ("kronecker,balance=trace,one-dimensional=sum,beta=140/70/100", "kronecker-trace-sum", [70, 100, 140]),
            ("kronecker,accumulation=per-task,beta=1000", "kronecker-per-task", [1000]),
            ("pseudo-rows", "pseudo-rows-32x128-complement", [100]),
            (
                "pseudo-rows,ranks=64x256,floor=0.1,probes=8,samples=1024,every=2,beta=0.5",
                "pseudo-rows-64x256-kfac0.1-samples1024-probes8-every2", [0.5]
            ),
            ("pseudo-rows,ranks=1x2,floor=none", "pseudo-rows-1x2-alone", [100]),
            ("pseudo-rows,mixing=on,floor=0.1", "pseudo-rows-32x128-kfac0.1-mixed", [100]),
            ("pseudo-rows,mixing=off", "pseudo-rows-32x128-complement", [100]),
            ("pseudo-rows,centroids=16", "pseudo-rows-32x128-complement-centroids16", [100]),
            ("daemon,samples=64", "daemon-accumulated-samples64", [100]),
            ("daemon,accumulation=per-task,beta=700/1400", "daemon-per-task", [700, 1400]),
            ("jacobian,beta=10/30", "jacobian", [10, 30]),
            ("jacobian,batch=64", "jacobian", [30]),
            ("input-mixture,batch=128", "input-mixture-128x8-batch128", [30]),
            ("input-mixture", "input-mixture-128x8", [30]),
            ("input-mixture,components=64x4,beta=10", "input-mixture-64x4", [10]),
        ] as [(String, String, [Double])])
    func `the id states everything but β`(text: String, id: String, betas: [Double]) throws {
        let contender = try Contender(parsing: text)
        #expect(contender.id == id)
        #expect(contender.betas == betas)
    }

    @Test func `settings reach the method of each β`() throws {
        let contender = try Contender(parsing: "pseudo-rows,ranks=4x8,floor=0.5,probes=2,samples=9,every=3,beta=7")
        let method = contender.method(beta: 7, stepCount: 11)
        #expect(method.recipe == FineTuningRecipe(stepCount: 11, beta: 7, penaltyInterval: 3))
        #expect(method.factors == FactorSource(sampleCount: 9, probeCount: 2))
        #expect(method.penalty == .form(.pseudoRows(.init(inputRank: 4, gradientRank: 8, floor: .factors(0.5)))))
        #expect(method.setting == "β = 7")
    }

    @Test func `a penalty on inputs may take more of them in a step than the task's own`() throws {
        for (text, size) in [("jacobian,batch=128", 128), ("jacobian", 64)] {
            let recipe = try Contender(parsing: text).method(beta: 7, stepCount: 11).recipe
            #expect(recipe == FineTuningRecipe(stepCount: 11, penaltyBatchSize: size, beta: 7))
        }
    }

    // MARK: - What is refused

    @Test(arguments: [
        (
            "ties",
            "the form \"ties\" is unknown; there are daemon, kronecker, pseudo-rows, input-mixture and jacobian"
        ),
        ("daemon,accumulation=optimal", "accumulation is \"optimal\"; expected accumulated or per-task"),
        ("kronecker,ranks=2x3", "the form kronecker has no setting \"ranks\""),
        ("jacobian,probes=2", "the form jacobian has no setting \"probes\""),
        ("input-mixture,batch=0", "batch is \"0\"; expected an integer in 1...65536"),
        ("pseudo-rows,batch=128", "the form pseudo-rows has no setting \"batch\""),
        ("input-mixture,samples=2", "the form input-mixture has no setting \"samples\""),
        (
            "input-mixture,components=0x1",
            "components is \"0x1\"; expected the number of components and their rank, such as 128x8"
        ),
        ("kronecker,beta", "\"beta\" is not one more setting; expected NAME=VALUE, each name once"),
        ("kronecker,beta=1,beta=2", "\"beta=2\" is not one more setting; expected NAME=VALUE, each name once"),
        ("kronecker,beta=1/1", "beta is \"1/1\"; expected different positive numbers, separated by /"),
        ("kronecker,beta=0", "beta is \"0\"; expected different positive numbers, separated by /"),
        ("kronecker,balance=yes", "balance is \"yes\"; expected none or trace"),
        (
            "kronecker,accumulation=per-task,one-dimensional=sum",
            "one-dimensional=sum has no effect with accumulation=per-task"
        ),
        (
            "pseudo-rows,ranks=32", "ranks is \"32\"; expected the ranks of inputs and gradients, such as 32x128"
        ),
        (
            "pseudo-rows,floor=-1", "floor is \"-1\"; expected complement, none, or a positive share of K-FAC"
        ),
        ("pseudo-rows,mixing=yes", "mixing is \"yes\"; expected off or on"),
        ("kronecker,mixing=on", "the form kronecker has no setting \"mixing\""),
        ("pseudo-rows,centroids=0", "centroids is \"0\"; expected an integer in 1...65536"),
        ("pseudo-rows,samples=0", "samples is \"0\"; expected an integer in 1...65536"),
        ("pseudo-rows,probes=5000", "probes is \"5000\"; expected an integer in 1...4096"),
    ])
    func `a faulty text is refused`(text: String, problem: String) {
        let found = message { () throws(LaboratoryError) in _ = try Contender(parsing: text) }
        #expect(found == "contender \"\(text)\": \(problem).")
    }

    // MARK: - Studies

    private func study(_ files: TinyStudy, _ contenders: [String], only: [String] = ["linear"]) throws -> Study {
        let inputs = try files.inputs()
        return try Study(
            inputs, directory: files.path("out"),
            options: Study.Options(
                only: only, contenders: try contenders.map { try Contender(parsing: $0) }, stepCount: 3),
            team: PassTeam(inputs.base.layout, laneCount: 2), daemon: try DaemonProgram(at: "/bin/false"))
    }

    @Test func `contenders are trained without the daemon, and one β of each is measured`() async throws {
        BLASEnvironment.setThreadCount(1)
        let files = try TinyStudy()
        let texts = [
            "pseudo-rows,ranks=2x4,samples=6,beta=1/50", "pseudo-rows,ranks=2x4,samples=6,centroids=2",
            "kronecker,balance=trace,one-dimensional=sum,beta=20",
            "jacobian", "input-mixture,components=2x1",
        ]
        let rows = try await study(files, texts).run { _ in }
        for (id, betas) in [
            ("pseudo-rows-2x4-complement-samples6", [1.0, 50]),
            ("pseudo-rows-2x4-complement-centroids2-samples6", [100]), ("kronecker-trace-sum", [20]),
            ("jacobian", [30]),
            ("input-mixture-2x1", [30]),
        ] {
            let own = rows.filter { $0.method == id }
            #expect(own.count { $0.regime == .individual } == 1)
            #expect(own.filter { $0.regime == .addition }.map(\.alpha) == AlphaGrid.addition)
            #expect(Set(own.map(\.beta)).count == 1 && betas.contains(own.first?.beta ?? 0))
            #expect(own.allSatisfy { $0.setting == nil })
        }
        let directory = StudyDirectory(files.path("out"))
        let choices = try texts.map { text in
            let name = "contender.seed0.\(try Contender(parsing: text).id)"
            return try #require(try directory.result(ofStage: name)?.choice)
        }
        // The triangles of A's sides 9 (three times), 17 and 8, of B's 24, 8, 16, 8 and 6, and of 9 blocks F of side 8
        // hold 1177 numbers. The rows hold 1890 and the weights 44 more, with three buckets of positions 1266 and 28.
        // Each component of the mixture has two images of 784 pixels, its share and its number of images.
        #expect(choices.map(\.storedElementCount) == [3111, 2471, 1177, nil, 3140])
        let figures = String(decoding: try files.directory.read("out/figures.json"), as: UTF8.self)
        let storage = try FiguresFile.decode(figures).storage
        #expect(
            Set(storage?.map(\.method) ?? []) == [
                "linear", "kronecker-trace-sum", "pseudo-rows-2x4-complement-samples6",
                "pseudo-rows-2x4-complement-centroids2-samples6", "input-mixture-2x1",
            ])
        let counts = (storage ?? []).map(\.elementCount)
        #expect(counts.sorted() == [0, 1177, 2471, 3111, 3140])
        expectClose((storage ?? []).map(\.relative), counts.map { Double($0) / 1177 }, relative: 1e-3)
        #expect(storage?.first { $0.method == "kronecker-trace-sum" }?.largeRelative == 1)
        #expect(choices.map(\.betas) == [[1, 50], [100], [20], [30], [30]])
        let best = try #require(choices[0].accuracies.max())
        #expect(choices[0].accuracies[choices[0].chosen] == best)
        let page = String(decoding: try files.directory.read("out/results.html"), as: UTF8.self)
        #expect(choices.allSatisfy { page.contains($0.note.prefix(60)) })
        // Another run takes the vectors of the first one.
        let again = try await study(files, texts).run { _ in }
        #expect(again == rows)
    }

    @Test func `contenders of earlier runs stay in the results, and other strengths are a new choice`() async throws {
        BLASEnvironment.setThreadCount(1)
        let files = try TinyStudy()
        let first = try await study(files, ["kronecker,beta=20/40"]).run { _ in }
        let second = try await study(files, ["jacobian"]).run { _ in }
        #expect(Set(second.map(\.method)) == ["pretrained", "linear", "kronecker", "jacobian"])
        #expect(second.filter { $0.method == "kronecker" } == first.filter { $0.method == "kronecker" })
        // The vectors of β = 20 and 40 are there already, and the choice is one of three.
        let bytes = try files.directory.read("out/vectors/kronecker.β---20/seed0/alpha.safetensors")
        let third = try await study(files, ["kronecker,beta=10/20/40"]).run { _ in }
        #expect(third.count { $0.method == "kronecker" && $0.regime == .individual } == 1)
        #expect(try files.directory.read("out/vectors/kronecker.β---20/seed0/alpha.safetensors") == bytes)
        let choices = try StudyDirectory(files.path("out")).contenderResults().compactMap(\.choice)
        #expect(choices.map(\.contender) == ["jacobian", "kronecker"])
        #expect(choices.map(\.betas) == [[30], [10, 20, 40]])
    }

    @Test func `a form without a task has nothing of that task's images`() async throws {
        BLASEnvironment.setThreadCount(1)
        let (files, others) = (try TinyStudy(), try TinyStudy())
        try others.writeData(order: TinyStudy.tasks, changing: "beta")
        let form = Contender.Form.pseudoRows(.init(inputRank: 2, gradientRank: 4, floor: .complement))
        var gradients: [[[Float]]] = []
        for files in [files, others] {
            let inputs = try files.inputs()
            let library = FormLibrary(inputs: inputs, team: PassTeam(inputs.base.layout, laneCount: 2))
            var own: [[Float]] = []
            for task in 0..<3 {
                let penalty = try await library.penalty(form, without: task, FactorSource(sampleCount: 6), seed: 0)
                var (gradient, scratch) = ([Float](repeating: 0, count: inputs.base.layout.count), PenaltyScratch())
                let vector = gradient.indices.map { Float($0 % 7) - 3 }
                _ = penalty.addGradient(at: vector, scale: 1, to: &gradient, scratch: &scratch)
                own.append(gradient)
            }
            gradients.append(own)
        }
        #expect(gradients[0][1] == gradients[1][1])
        #expect(gradients[0][0] != gradients[1][0])
        #expect(gradients[0][2] != gradients[1][2])
    }

    @Test func `a mixture without a task has nothing of that task's images`() async throws {
        BLASEnvironment.setThreadCount(1)
        let (files, others) = (try TinyStudy(), try TinyStudy())
        try others.writeData(order: TinyStudy.tasks, changing: "beta")
        let settings = InputMixture.Settings(componentCount: 2, rank: 1)
        let (library, otherLibrary) = (
            MixtureLibrary(inputs: try files.inputs()), MixtureLibrary(inputs: try others.inputs())
        )
        for task in 0..<3 {
            let drawn = try await library.mixture(settings, without: task).images(count: 9, seed: 0)
            let other = try await otherLibrary.mixture(settings, without: task).images(count: 9, seed: 0)
            #expect((drawn == other) == (task == 1))
        }
    }

    @Test func `the note of a choice names every β, and warns of the end of the list`() {
        var choice = ContenderChoice(
            contender: "kronecker", seed: 2, betas: [50, 100, 200], accuracies: [62.781, 66.354, 66.35], chosen: 1,
            storedElementCount: 12)
        #expect(
            choice.note
                == "kronecker, seed 2: β = 100 of 50 (62.78), 100 (66.35), 200 (66.35), by accuracy on validation "
                + "images at α = 1. The form keeps 12 numbers.")
        choice.chosen = 2
        choice.storedElementCount = nil
        #expect(choice.note.hasSuffix("at α = 1; it is at the end of the list, so a better one may lie beyond."))
    }

    @Test func `a contender that is there twice is refused`() throws {
        let files = try TinyStudy()
        let found = message { _ = try study(files, ["kronecker,beta=5", "kronecker,beta=5.0"]) }
        #expect(found == "the contender kronecker is there twice. Name each once, with every β to choose from.")
    }
}
