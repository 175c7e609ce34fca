import Laboratory
import SystemPackage
import Testing

/// The error cases that no other test covers.
struct LaboratoryErrorTests {
    @Test func `a loss that is no number names step, learning rate and, where there is one, β`() {
        let plain = LaboratoryError.diverged(task: "a", step: 3, stepCount: 200, learningRate: 0.5, beta: 0)
        #expect(plain.description == "task a: the loss is not finite at step 3 of 200. Lower the learning rate (0.5).")
        let penalised = LaboratoryError.diverged(task: "a", step: 3, stepCount: 200, learningRate: 0.5, beta: 100)
        #expect(
            penalised.description
                == "task a: the loss is not finite at step 3 of 200. Lower the learning rate (0.5) or β (100.0).")
    }

    @Test func `results of other settings are named with both`() {
        let error = LaboratoryError.otherStudy(directory: "out/x", setting: "steps", found: "1", expected: "2")
        #expect(
            error.description
                == "out/x: holds an earlier study, whose steps is 1; this one's is 2. Give another --output, or remove the "
                + "whole directory.")
    }

    @Test func `bad usage says what it is`() {
        #expect(LaboratoryError.usage("--tasks names nothing.").description == "--tasks names nothing.")
    }
}
