import Foundation
import Laboratory
import LinearAlgebra
import ReferenceModel
import StudyReport

extension Study {
    /// The head and the end of the page.
    var description: StudyDescription {
        let shape = inputs.base.layout.shape
        let methods = StudyMethod.all(stepCount: options.stepCount).filter { options.includes($0.id) }
        let recipe = StudyMethod.all(stepCount: options.stepCount)[1].recipe
        let betas = methods.filter { $0.recipe.beta > 0 }.map { "\($0.id) \(Int($0.recipe.beta))" }
        return StudyDescription(
            title: "Eight tasks in one model",
            model: "A vision transformer of \(shape.depth) blocks, width \(shape.width) and \(shape.positionCount) "
                + "positions, pre-trained once and fine-tuned on \(inputs.taskNames.count) image tasks: "
                + inputs.taskNames.joined(separator: ", ") + ".",
            seeds: options.seeds, date: Date().formatted(.iso8601.year().month().day()),
            machine: "\(ProcessInfo.processInfo.activeProcessorCount) cores, OpenBLAS kernels "
                + BLASEnvironment.kernels,
            version: "kfaclab",
            settings: [
                StudySetting(
                    name: "Fine-tuning",
                    value: "AdamW, \(recipe.stepCount) steps of \(recipe.batchSize) images, learning rate "
                        + "\(recipe.learningRate) (non-linear 0.0005), warm-up 10 %, cosine to 0"),
                StudySetting(name: "β", value: betas.joined(separator: ", ")),
                StudySetting(
                    name: "Factors",
                    value: "256 training images a task, one probe each, normalization expand, by a coordinator and "
                        + "two workers"),
                StudySetting(name: "K-FAC merge", value: "damping relative, 0.01"),
            ],
            notes: [
                "α was chosen on validation images; everything else is measured on test images.",
                "Seeds change the order of batches, the images that factors are made of, and their probes; training "
                    + "images and the base are the same for all of them.",
                "β is the same for all seeds and was not tuned on test images; the ablations show others.",
                "Normalised accuracy flatters strong regularizers, whose own ceiling is lower: read both. Differences "
                    + "below one point are within the noise of the test images.",
            ])
    }
}
