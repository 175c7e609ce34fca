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

    @Test(arguments: [
        ("kronecker", "kronecker", "kronecker.β-100"),
        (
            "kronecker,balance=trace,one-dimensional=sum,beta=140/70/100", "kronecker-trace-sum",
            "kronecker-trace-sum.β-70-100-140"
        ),
        ("kronecker,accumulation=per-task,beta=1000", "kronecker-per-task", "kronecker-per-task.β-1000"),
        ("pseudo-rows", "pseudo-rows-32x128-complement", "pseudo-rows-32x128-complement.β-100"),
        (
            "pseudo-rows,ranks=64x256,floor=0.1,probes=8,samples=1024,every=2,beta=0.5",
            "pseudo-rows-64x256-kfac0.1-samples1024-probes8-every2",
            "pseudo-rows-64x256-kfac0.1-samples1024-probes8-every2.β-0.5"
        ),
        ("pseudo-rows,ranks=1x2,floor=none", "pseudo-rows-1x2-alone", "pseudo-rows-1x2-alone.β-100"),
        ("jacobian,beta=10/30", "jacobian", "jacobian.β-10-30"),
    ])
    func `the id states everything but β, and the file's name β too`(text: String, id: String, file: String) throws {
        let contender = try Contender(parsing: text)
        #expect(contender.id == id)
        #expect(contender.fileName == file)
    }

    @Test func `settings reach the method of each β`() throws {
        let contender = try Contender(parsing: "pseudo-rows,ranks=4x8,floor=0.5,probes=2,samples=9,every=3,beta=7")
        let method = contender.method(beta: 7, stepCount: 11)
        #expect(method.recipe == FineTuningRecipe(stepCount: 11, beta: 7, penaltyInterval: 3))
        #expect(method.factors == FactorSource(sampleCount: 9, probeCount: 2))
        #expect(method.penalty == .form(.pseudoRows(inputRank: 4, gradientRank: 8, floor: .factors(0.5))))
        #expect(method.setting == "β = 7")
    }

    // MARK: - What is refused

    @Test(arguments: [
        ("ties", "the form \"ties\" is unknown; there are kronecker, pseudo-rows and jacobian"),
        ("kronecker,ranks=2x3", "the form kronecker has no setting \"ranks\""),
        ("jacobian,probes=2", "the form jacobian has no setting \"probes\""),
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
            "pseudo-rows,ranks=2x4,samples=6,beta=1/50", "kronecker,balance=trace,one-dimensional=sum,beta=20",
            "jacobian",
        ]
        let rows = try await study(files, texts).run { _ in }
        for (id, betas) in [
            ("pseudo-rows-2x4-complement-samples6", [1.0, 50]), ("kronecker-trace-sum", [20]), ("jacobian", [30]),
        ] {
            let own = rows.filter { $0.method == id }
            #expect(own.count { $0.regime == .individual } == 1)
            #expect(own.filter { $0.regime == .addition }.map(\.alpha) == AlphaGrid.addition)
            #expect(Set(own.map(\.beta)).count == 1 && betas.contains(own.first?.beta ?? 0))
            #expect(own.allSatisfy { $0.setting == nil })
        }
        let directory = StudyDirectory(files.path("out"))
        let choices = try texts.map { text in
            let name = "contender.seed0.\(try Contender(parsing: text).fileName)"
            return try #require(try directory.result(ofStage: name)?.choice)
        }
        // Factors of the model: 3 · 9² + 17² + 8² elements of A, 24² + 8² + 16² + 8² + 6² of B, and 9 · 8² of F.
        #expect(choices.map(\.storedElementCount) == [4058, 2168, nil])
        #expect(choices.map(\.betas) == [[1, 50], [20], [30]])
        let best = try #require(choices[0].accuracies.max())
        #expect(choices[0].accuracies[choices[0].chosen] == best)
        let page = String(decoding: try files.directory.read("out/results.html"), as: UTF8.self)
        #expect(choices.allSatisfy { page.contains($0.note.prefix(60)) })
        // Another run takes the vectors of the first one.
        let again = try await study(files, texts).run { _ in }
        #expect(again == rows)
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
