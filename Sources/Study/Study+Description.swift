import ControlGroups
import Foundation
import Laboratory
import LinearAlgebra
import ReferenceModel
import StudyReport

extension Study {
    /// The start and the end of the page.
    func description(of rows: [StudyRow], choices: [ContenderChoice]) -> StudyDescription {
        let shape = inputs.base.layout.shape
        let measured = Set(rows.map(\.method))
        let methods = StudyMethod.all(stepCount: options.stepCount)
        let betas = methods.filter { $0.recipe.beta > 0 && measured.contains($0.id) }
            .map { "\($0.id) \(Int($0.recipe.beta))" }
        let (linear, nonlinear) = (
            FineTuningRecipe(stepCount: options.stepCount),
            FineTuningRecipe(regime: .nonlinear, stepCount: options.stepCount)
        )
        return StudyDescription(
            title: "Eight tasks in one model",
            model: "A vision transformer of \(shape.depth) blocks, width \(shape.width) and \(shape.positionCount) "
                + "positions, pre-trained once and fine-tuned on \(inputs.taskNames.count) image tasks: "
                + inputs.taskNames.joined(separator: ", ") + ".",
            seeds: Set(rows.compactMap(\.seed)).sorted(), date: Date().formatted(.iso8601.year().month().day()),
            machine: "\(MachineCapacity.current().processors) cores, OpenBLAS kernels "
                + BLASEnvironment.kernels,
            version: options.version,
            settings: [
                StudySetting(
                    name: "Fine-tuning",
                    value: "AdamW, \(linear.stepCount) steps of \(linear.batchSize) images, learning rate "
                        + "\(linear.learningRate) (non-linear \(nonlinear.learningRate)), warm-up 10 %, cosine to 0"),
                StudySetting(name: "β", value: betas.joined(separator: ", ")),
                StudySetting(
                    name: "Factors",
                    value: "\(FactorSource().sampleCount) training images a task, \(FactorSource().probeCount) probe "
                        + "each, normalization expand, by a coordinator and two workers"),
                StudySetting(name: "K-FAC merge", value: "damping relative, \(FactorLibrary.mergeDamping)"),
            ],
            notes: [
                "α of sums and of what is subtracted was chosen on validation images; accuracies are of test images.",
                "Seeds change the order of batches, the images that factors are made of, and their probes; training "
                    + "images and the base are the same for all of them.",
                (choices.isEmpty ? "β" : "β of the study's methods")
                    + " was fixed beforehand, for all seeds, at the values of an earlier study of the same tasks, "
                    + "where β = 100 of equation 8 had first been seen on test images. The ablations vary it.",
                "Normalised accuracy flatters strong regularizers, whose own ceiling is lower: read both. Differences "
                    + "below one point are within the noise of the test images.",
            ] + choices.map(\.note))
    }
}
